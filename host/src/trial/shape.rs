//! What came of a call, in the shape in which it is printed.

use serde::Serialize;

use crate::recording::CallResult;

/// What came of a call.
#[derive(Debug, Serialize)]
pub struct Called {
    /// What it came to, the same each time.
    #[serde(flatten)]
    pub result: CallResult,
    /// What the plugin logged, for people: `info: hello`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// What it wrote to stderr.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stderr: Vec<String>,
    /// What it used.
    pub figures: CallFigures,
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallFigures {
    /// Milliseconds from its beginning to its end, with the start of an instance if there was none.
    pub call_ms: f64,
    /// Milliseconds of processor time in it.
    pub processor_ms: f64,
    /// Bytes of all memories and tables of the instance.
    pub memory: usize,
}
