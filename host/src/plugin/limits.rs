//! What a plugin may use.

use std::time::Duration;

use crate::grant::LimitOverrides;
use crate::quota::Volume;

/// What a plugin may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long the guest may run in a call, the time in which others run left out.
    pub cpu: Duration,
    /// How long a call may take in all.
    pub wall: Duration,
    /// Bytes of all memories and tables of an instance together, and of what one read returns.
    pub memory: usize,
    /// What a call may write.
    pub writing: Volume,
    /// Bytes of what a call answers, and of what it passes to the host at a time.
    pub answer: usize,
    /// Actions and children that a call may answer.
    pub actions: usize,
    /// Changes and Events a second.
    pub writes: usize,
    /// Bytes of its file.
    pub wasm: usize,
    /// How long compiling it may take.
    pub compile: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(1),
            wall: Duration::from_secs(10),
            memory: 64 << 20,
            writing: Volume { output: 1 << 20, log: 64 << 10 },
            answer: 4 << 20,
            actions: 1000,
            writes: 200,
            wasm: 64 << 20,
            compile: Duration::from_mins(1),
        }
    }
}

impl Limits {
    /// These limits, but for what a grant file says.
    pub(super) fn overridden(self, by: &LimitOverrides) -> Self {
        Self {
            cpu: by.cpu.unwrap_or(self.cpu),
            wall: by.wall.unwrap_or(self.wall),
            memory: by.memory.unwrap_or(self.memory),
            writing: Volume {
                output: by.output.unwrap_or(self.writing.output),
                log: by.log.unwrap_or(self.writing.log),
            },
            answer: by.answer.unwrap_or(self.answer),
            actions: by.actions.unwrap_or(self.actions),
            writes: by.writes.unwrap_or(self.writes),
            wasm: by.wasm.unwrap_or(self.wasm),
            compile: by.compile.unwrap_or(self.compile),
        }
    }
}
