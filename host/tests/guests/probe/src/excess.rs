//! Wants more than a guest may have.

use oarlock_sdk::{Action, Event, Outcome, log};

/// Wants too much of what `mode` says. Any other mode is none of its business.
pub(crate) fn of(mode: &str) -> Outcome {
    match mode {
        "memory" => {
            let mut memory: Vec<Vec<u8>> = Vec::new();
            loop {
                memory.push(vec![1; 1 << 20]);
            }
        }
        "recurse" => println!("{}", recurse(0)),
        "flood" => {
            let line = "x".repeat(1023);
            (0..2048).for_each(|_| println!("{line}"));
        }
        "flood-log" => {
            let line = "x".repeat(1023);
            (0..1024).for_each(|_| log::info(&line));
            (0..1024).for_each(|_| eprintln!("{line}"));
        }
        "long-line" => {
            println!("before it");
            print!("{}", "x".repeat(2 << 20));
        }
        "endless-line" => loop {
            print!("x");
        },
        "many-actions" => {
            let event =
                |number: u32| Action::Event(Event { reason: "Again".into(), note: number.to_string(), warning: false });
            return (0..20_000).map(event).fold(Outcome::done(), Outcome::action);
        }
        "huge-action" => return Outcome::done().action(Action::Apply(" ".repeat(100 << 20))),
        "nested" => {
            let depth = 500_000;
            let body = "[".repeat(depth) + &"]".repeat(depth);
            return Outcome::done().action(Action::Apply(format!(r#"{{"data":{body}}}"#)));
        }
        _ => {}
    }
    Outcome::done()
}

/// Calls itself until the stack ends.
#[allow(unconditional_recursion, reason = "that is what is tested")]
fn recurse(depth: u64) -> u64 {
    recurse(std::hint::black_box(depth) + 1) + 1
}
