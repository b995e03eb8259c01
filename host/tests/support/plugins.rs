//! Plugins that `make` has built, and variations of them.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

fn built(folder: &str, name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../target", folder, &format!("{name}.wasm")].iter().collect();
    fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}: run the tests with `make test` or `make test-fast`, which build it", path.display())
    })
}

/// The default plugin.
pub(crate) fn print_containers() -> Vec<u8> {
    built("plugins", "print-containers")
}

/// One of the plugins in `examples/`.
pub(crate) fn example(name: &str) -> Vec<u8> {
    built("plugins", name)
}

/// A file in the folder of an example.
pub(crate) fn example_file(name: &str, file: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../examples", name, file].iter().collect();
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The plugin that does what an object says, in that version.
pub(crate) fn probe(version: u32) -> Vec<u8> {
    let mut bytes = built("test-guests", "probe");
    let (marker, replacement) = (b"version-0000", format!("version-{version:04}"));
    let places: Vec<_> = (0..bytes.len() - marker.len()).filter(|at| bytes[*at..].starts_with(marker)).collect();
    assert!(!places.is_empty(), "the plugin has its version in it");
    for at in places {
        bytes[at..at + marker.len()].copy_from_slice(replacement.as_bytes());
    }
    bytes
}

/// A module that does the same and has another digest: it has one more custom section, of this content.
pub(crate) fn variation(mut module: Vec<u8>, content: u8) -> Vec<u8> {
    // A custom section is 0, its size, and in it a name (its length, its bytes) and the content.
    module.extend([0, 4, 2, b'n', b'o', content]);
    module
}

/// The component that a core module is made into.
pub(crate) fn component(module: &[u8]) -> Vec<u8> {
    use wasi_preview1_component_adapter_provider::{
        WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
    };
    let encoder = wit_component::ComponentEncoder::default().module(module).unwrap();
    encoder.adapter(NAME, ADAPTER).unwrap().encode().unwrap()
}

/// A command of a few megabytes that takes gigabytes to compile: one function in which thousands of variables are alive at
/// each of a hundred thousand branches.
pub(crate) fn greedy_to_compile() -> Vec<u8> {
    const VARIABLES: u32 = 40_000;
    const BRANCHES: u32 = 100_000;
    let mut body = String::new();
    for branch in 0..BRANCHES {
        let (from, to) = (1 + branch * 7919 % VARIABLES, 1 + branch.wrapping_mul(104_729) % VARIABLES);
        let set = format_args!("(local.set {to} (i32.add (local.get {from}) (local.get 0)))");
        write!(body, "(block (br_if 0 (local.get 0)) {set})").unwrap();
    }
    let locals = "i32 ".repeat(VARIABLES as usize);
    let function = format!("(func (param i32) (result i32) (local {locals}) {body} (local.get 1))");
    wat::parse_str(format!("(module (memory (export \"memory\") 1) (func (export \"_start\")) {function})")).unwrap()
}
