//! Oarlock: a Kubernetes controller host whose controllers are WebAssembly plugins.
//!
//! After the leaves, the modules stand in the order in which an object goes through them. Each uses only those before it.
//!
//! ```text
//! source ──► cache ──► queue, one per plugin ──► worker: plugin call ──► guard ──► apply
//!               └─── dispatch ───┘                 ▲
//! plugin folder ──► plugin::Reload ──► supervisor ─┘
//! ```

// Leaves.
pub mod breaker;
pub mod diff;
pub mod digest;
pub mod folder;
pub mod hot_loop;
pub mod memory;
pub mod names;
pub mod nearest;
pub mod object;
pub mod output;
pub mod probation;
pub mod quota;
pub mod rbac;
pub mod selector;
pub mod shards;
pub mod tally;
pub mod tasks;
pub mod text;
pub mod turn;
pub mod spans;
pub mod yaml;
pub mod grant;
pub mod health;
pub mod journal;
pub mod metrics;

// The way of an object.
pub mod cluster;
pub mod cache;
pub mod source;
pub mod queue;
pub mod reads;
pub mod plugin;
pub mod rights;
pub mod dispatch;
pub mod watches;
pub mod action;
pub mod reader;
pub mod recording;
pub mod worker;
pub mod trial;

// What runs it.
pub mod admission;
pub mod leader;
pub mod supervisor;
pub mod config;
pub mod progress;
pub mod checks;
pub mod api;
pub mod admin;
pub mod runtime;
pub mod telemetry;
pub mod project;
pub mod templates;
pub mod cli;
