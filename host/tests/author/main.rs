//! What authors of plugins do, and what the documentation says: these build projects, and keep both cores busy with it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod dev;
mod documentation;
mod languages;
mod new;
