//! Oarlock: a Kubernetes controller host whose controllers are WebAssembly plugins.
//!
//! The modules stand in the order in which an object goes through them; each uses only those before it and the leaves
//! at the end.
//!
//! ```text
//! source ──► cache ──► queue, one a plugin ──► worker: plugin call ──► guard
//!                └── dispatch ──┘                 ▲
//! plugin folder ──► reload ──► supervisor ────────┘
//! ```

// The way of an object.
pub mod action;
pub mod cache;
pub mod dispatch;
pub mod output;
pub mod plugin;
pub mod queue;
pub mod source;
pub mod worker;

// What runs it.
pub mod admin;
pub mod cli;
pub mod runtime;
pub mod supervisor;

// Leaves.
pub mod config;
pub mod digest;
pub mod folder;
pub mod metrics;
pub mod object;
pub mod progress;
pub mod selector;
pub mod tally;
pub mod telemetry;
