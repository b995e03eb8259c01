//! What plugins ask for in their answers.

pub mod guard;
