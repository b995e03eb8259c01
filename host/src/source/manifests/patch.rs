//! JSON patches, kept within what an API server would take. Pure.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

/// How many bytes the copies of one patch may have together: each could double what is there. An API server takes as much.
const MAX_COPIED: usize = 3 << 20;

/// Changes the value. After an error, it is in no state to be used.
pub(super) fn patch_json(value: &mut Value, patch: &Patch) -> Result<(), String> {
    let mut copied = 0;
    for operation in &patch.0 {
        if let PatchOperation::Copy(copy) = operation
            && let Some(from) = value.pointer(copy.from.as_str())
        {
            copied += from.to_string().len();
            if copied > MAX_COPIED {
                return Err(format!("it copies more than {} MiB", MAX_COPIED >> 20));
            }
        }
        json_patch::patch(value, std::slice::from_ref(operation)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_that_doubles_what_is_there_is_ended() {
        let copy = |_| json!({"op": "copy", "from": "/a", "path": "/a/-"});
        let patch = |times| serde_json::from_value(json!((0..times).map(copy).collect::<Vec<_>>())).unwrap();
        let mut value = json!({"a": ["x"]});
        patch_json(&mut value, &patch(10)).unwrap();
        assert!(value.to_string().len() > 1 << 10);
        let error = patch_json(&mut json!({"a": ["x"]}), &patch(100)).unwrap_err();
        assert_eq!(error, "it copies more than 3 MiB");
    }

    #[test]
    fn the_operations_are_done_in_their_order() {
        let patch = json!([{"op": "add", "path": "/b", "value": 1}, {"op": "test", "path": "/b", "value": 2}]);
        let error = patch_json(&mut json!({}), &serde_json::from_value(patch).unwrap()).unwrap_err();
        assert!(error.contains("/b"), "{error}");
    }
}
