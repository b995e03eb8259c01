//! Oarlock: a Kubernetes controller host whose controllers are WebAssembly plugins.
//!
//! After the leaves, the modules stand in the order in which an object goes through them. Each uses only those before it.
//!
//! ```text
//! source ──► cache ──► queue, one per plugin ──► worker: plugin call ──► guard ──► output
//!               └─── dispatch ───┘                 ▲
//! plugin folder ──► plugin::Reload ──► supervisor ─┘
//! ```

// Leaves.
pub mod digest;
pub mod folder;
pub mod metrics;
pub mod object;
pub mod output;
pub mod selector;
pub mod tally;
pub mod tasks;

// The way of an object.
pub mod cache;
pub mod source;
pub mod queue;
pub mod plugin;
pub mod dispatch;
pub mod action;
pub mod worker;

// What runs it.
pub mod supervisor;
pub mod config;
pub mod progress;
pub mod admin;
pub mod runtime;
pub mod telemetry;
pub mod cli;
