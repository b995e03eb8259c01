#![no_main]
#![allow(dead_code, missing_docs)]

#[path = "../../tests/fuzz/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::manifests(bytes));
