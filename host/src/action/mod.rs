//! What plugins ask for in their answers: taken apart, checked against the grant, and done.

pub mod apply;
mod cluster;
mod events;
pub mod guard;
pub mod in_memory;
pub mod plan;
