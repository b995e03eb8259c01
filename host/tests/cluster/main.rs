//! The host as a process, on a real control plane: run these with `make test`, which brings one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod breaker;
mod control_plane;
mod deploy;
mod documentation;
mod examples;
mod finalizers;
mod grants;
mod main_job;
mod outages;
mod proxy;
mod replicas;
mod restarts;
mod soak;
mod watching;
