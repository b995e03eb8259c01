//! Prints how many replicas a ReplicaSet wants. An ordinary program: the object on stdin, lines on stdout, an exit code.

use std::error::Error;
use std::io::stdin;

fn main() -> Result<(), Box<dyn Error>> {
    let [_, call, _, _, namespace, name] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("run me as an Oarlock plugin".into());
    };
    if call == "gone" {
        println!("{namespace}/{name} is gone");
        return Ok(());
    }
    let object: serde_json::Value = serde_json::from_reader(stdin())?;
    println!("{namespace}/{name} wants {} replicas", object["spec"]["replicas"]);
    Ok(())
}
