//! What calls are expected to come to, as a file has it. Pure.

use similar::TextDiff;

use crate::recording::CallResult;
use crate::yaml;

/// How many lines around a difference are shown.
const CONTEXT_LINES: usize = 3;

/// What calls came to, as YAML: a document each.
pub fn to_yaml(results: &[&CallResult]) -> String {
    results.iter().map(yaml::text).collect::<Vec<_>>().join("---\n")
}

/// The difference between what the text of a file expects and what calls came to, as a unified diff of YAML. None: there is
/// none. An error says what is wrong with the text.
///
/// All is compared, and what is left out is expected to be empty: an action that is new is what such a file is to notice.
pub fn compare(name: &str, text: &str, results: &[&CallResult]) -> Result<Option<String>, String> {
    let expected: Vec<CallResult> =
        serde_saphyr::from_multiple_with_options(text, yaml::of_objects()).map_err(|error| error.to_string())?;
    let (old, new) = (to_yaml(&expected.iter().collect::<Vec<_>>()), to_yaml(results));
    if old == new {
        return Ok(None);
    }
    let diff = TextDiff::from_lines(&old, &new);
    Ok(Some(diff.unified_diff().context_radius(CONTEXT_LINES).header(name, "what it came to").to_string()))
}
