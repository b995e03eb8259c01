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
    in_version(built("test-guests", "probe"), version)
}

/// The default plugin, which says its version, in that version.
pub(crate) fn versioned(version: u32) -> Vec<u8> {
    in_version(built("bench-guests", "versioned"), version)
}

/// A module with that number in place of the one that it says is its version.
fn in_version(mut bytes: Vec<u8>, version: u32) -> Vec<u8> {
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

/// A command of a few megabytes that takes gigabytes to compile.
pub(crate) fn greedy_to_compile() -> Vec<u8> {
    hard_to_compile(40_000, 100_000)
}

/// A command with a function in which so many variables are alive at each of so many branches.
pub(crate) fn hard_to_compile(variables: u32, branches: u32) -> Vec<u8> {
    let mut body = String::new();
    for branch in 0..branches {
        let (from, to) = (1 + branch * 7919 % variables, 1 + branch.wrapping_mul(104_729) % variables);
        let set = format_args!("(local.set {to} (i32.add (local.get {from}) (local.get 0)))");
        write!(body, "(block (br_if 0 (local.get 0)) {set})").unwrap();
    }
    let locals = "i32 ".repeat(variables as usize);
    let function = format!("(func (param i32) (result i32) (local {locals}) {body} (local.get 1))");
    wat::parse_str(format!("(module (memory (export \"memory\") 1) (func (export \"_start\")) {function})")).unwrap()
}

/// The guests in `tests/hostile`: their names, what must come of each, and the modules.
pub(crate) fn hostile() -> Vec<(String, String, Vec<u8>)> {
    let files = fs::read_dir(hostile_folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let names = files.filter_map(|file| file.strip_suffix(".wat").map(str::to_owned));
    let guest = |name: String| {
        let text = hostile_text(&name);
        let expected = text.lines().next().unwrap().strip_prefix(";;! ");
        let expected = expected.expect("the first line says what must come of it").to_owned();
        let module = hostile_guest(&name, "");
        (name, expected, module)
    };
    let parts = ["prelude", "describe", "realloc"];
    let mut guests: Vec<_> = names.filter(|name| !parts.contains(&name.as_str())).map(guest).collect();
    guests.sort();
    guests
}

/// A guest in `tests/hostile` as a module, with more in it.
pub(crate) fn hostile_guest(name: &str, more: &str) -> Vec<u8> {
    let text = hostile_text(name);
    let missing = [("describe", "describe"), ("cabi_realloc", "realloc")];
    let missing = missing.iter().filter(|(export, _)| !text.contains(&format!("(export \"{export}\")")));
    let missing: String = missing.map(|(_, part)| hostile_text(part)).collect();
    let module = wat::parse_str(format!("(module {text}\n{}\n{missing}\n{more})", hostile_text("prelude")));
    module.unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn hostile_text(name: &str) -> String {
    fs::read_to_string(hostile_folder().join(name).with_extension("wat")).unwrap()
}

fn hostile_folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "hostile"].iter().collect()
}

/// A module that says of itself that it is made against that version of the contract, and may import more of WASI.
pub(crate) fn reconciler(mut module: Vec<u8>, version: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let wits = [include_str!("../../../wit/oarlock.wit"), include_str!("../hostile/wasi.wit")].map(|wit| {
        let wit = wit.replace("oarlock:plugin@0.1.0", &format!("oarlock:plugin@{version}"));
        let wit = wit.replace("reconciler@0.1.0", &format!("reconciler@{version}"));
        resolve.push_source("hostile.wit", &wit).unwrap()
    });
    let world = resolve.select_world(&wits[1..], Some("hostile")).unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    module
}
