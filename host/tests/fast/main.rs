//! The host as a process, on manifests: what needs no cluster.

#[path = "../support/mod.rs"]
mod support;

mod bad_guests;
mod commands;
mod manifests;
mod reload;
mod run;
mod tidy;
