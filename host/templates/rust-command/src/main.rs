//! Prints how many replicas each ReplicaSet wants: the object on stdin, lines on stdout, an exit code.

use std::error::Error;

use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().collect();
    let [_, call, _api_version, _kind, namespace, name] = &arguments[..] else {
        return Err("run me as an Oarlock plugin".into());
    };
    if call == "gone" {
        return Ok(());
    }
    let replica_set = serde_json::from_reader(std::io::stdin())?;
    println!("{namespace}/{name} wants {}", replicas(&replica_set));
    Ok(())
}

/// How many a ReplicaSet wants: one if it does not say.
fn replicas(replica_set: &Value) -> u64 {
    replica_set["spec"]["replicas"].as_u64().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_that_does_not_say_wants_one() {
        assert_eq!(replicas(&json!({"spec": {"replicas": 3}})), 3);
        assert_eq!(replicas(&json!({"spec": {}})), 1);
    }
}
