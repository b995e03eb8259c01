//! The host as a process, on manifests: what needs no cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod actions;
mod api;
mod api_server;
mod bad_guests;
mod breaker;
mod bench;
mod call;
mod check;
mod commands;
mod config;
mod deploy;
mod examples;
mod faults;
mod grants;
mod handed_over;
mod health;
mod hostile;
mod limits;
mod manifests;
mod monitoring;
mod rbac;
mod reads;
mod readme;
mod replay;
mod reload;
mod run;
mod scripted;
mod security;
mod stdout;
mod storm;
mod terminal;
mod tidy;
