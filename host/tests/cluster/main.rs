//! The host as a process, on a real control plane: run these with `make test`, which brings one.

#[path = "../support/mod.rs"]
mod support;

mod control_plane;
mod deploy;
mod main_job;
mod outages;
