//! How a call can fail.

use std::time::Duration;

use indicatif::HumanBytes;

use super::bindings::oarlock::plugin::types;

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CallError {
    /// The guest answered that it is to be tried again.
    #[error("{0}")]
    Retry(String),
    /// The guest answered that trying again does not help.
    #[error("{0}")]
    Terminal(String),
    /// A new instance refused to start.
    #[error("describe answered: {0}")]
    Describe(String),
    /// The guest ended itself. WASI 0.2 tells no more of its exit code than whether it is 0.
    #[error("it exited {}", if *.0 == 0 { "instead of answering" } else { "with an error code" })]
    Exit(i32),
    /// The guest, or the start of its instance, trapped.
    #[error("it trapped: {0}")]
    Trap(String),
    /// The guest was not even started: the host lacks memory, or what else that takes.
    #[error("there can be no instance of it: {0}")]
    NotMade(String),
    /// The guest ran for too long.
    #[error("it ran for more than the {} of processor time that a call may take (--call-cpu, or limits in its grant file)", humantime::format_duration(*.0))]
    CpuTime(Duration),
    /// The call took too long.
    #[error("it took more than the {} that a call may take (--call-wall, or limits in its grant file)", humantime::format_duration(*.0))]
    WallTime(Duration),
    /// The guest trapped after it was refused memory.
    #[error("it needs more than the {} of memory that a plugin may use (--memory, or limits in its grant file)", HumanBytes(*.0 as u64))]
    Memory(usize),
    /// The guest answered, or passed to an import, more than it may.
    #[error("it answers or passes to the host more than {} at a time (answer, among limits in its grant file)", HumanBytes(*.0 as u64))]
    Answer(usize),
}

impl CallError {
    /// Whether the call is to be tried again before the object changes.
    pub fn is_retried(&self) -> bool {
        !matches!(self, Self::Terminal(_))
    }
}

impl From<types::Failure> for CallError {
    fn from(failure: types::Failure) -> Self {
        match failure {
            types::Failure::Retry(reason) => Self::Retry(reason),
            types::Failure::Terminal(reason) => Self::Terminal(reason),
        }
    }
}
