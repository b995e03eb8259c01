//! What an author may have done, or left out, where a file is no plugin or not a good one. Pure.

use std::collections::BTreeSet;

use indicatif::HumanBytes;

use super::anatomy::{Anatomy, Import, Style};

/// From how many bytes on what is for debuggers is worth a word.
const MANY_DEBUG_BYTES: usize = 1 << 20;

/// How many items of a module are named.
const NAMED: usize = 3;

/// What files begin with that are taken for plugins, and what to say of them.
const BEGINNINGS: [(&[u8], &str); 14] = [
    (b"\x7fELF", "it is machine code for Linux: the crate was built without `--target wasm32-wasip1`"),
    (b"\xcf\xfa\xed\xfe", "it is machine code for macOS: the crate was built without `--target wasm32-wasip1`"),
    (b"MZ", "it is machine code for Windows: the crate was built without `--target wasm32-wasip1`"),
    (b"!<arch>", "it is a static library: the crate needs `crate-type = [\"cdylib\"]` in its [lib]"),
    (b"BC\xc0\xde", "it is LLVM bitcode, which was not linked"),
    (b"\x1f\x8b", "it is compressed: unpack it with gunzip"),
    (b"\x28\xb5\x2f\xfd", "it is compressed: unpack it with unzstd"),
    (b"PK\x03\x04", "it is a zip archive: the plugin may be in it"),
    (b"(module", "it is WebAssembly as text: make a binary of it with `wasm-tools parse` or wat2wasm"),
    (b"(component", "it is WebAssembly as text: make a binary of it with `wasm-tools parse`"),
    (b"version https://git-lfs", "it is a pointer of Git LFS: get the file itself with `git lfs pull`"),
    (b"<!", "it is a web page: it was downloaded from a wrong address, or without signing in"),
    (b"<html", "it is a web page: it was downloaded from a wrong address, or without signing in"),
    (b"#!", "it is a script"),
];

/// What may have made bytes that are no WebAssembly.
pub(super) fn on_foreign(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return Some("nothing was written to it: build or copy it once more".to_owned());
    }
    let begun =
        BEGINNINGS.iter().find(|(begin, _)| bytes.trim_ascii_start().starts_with(begin) || bytes.starts_with(begin));
    let text = || std::str::from_utf8(bytes).is_ok().then_some("it is a text");
    begun.map(|(_, advice)| *advice).or_else(text).map(str::to_owned)
}

/// What to say of a file of WebAssembly of so many bytes.
pub(super) fn on(anatomy: &Anatomy, size: usize) -> Vec<String> {
    let mut advice = Vec::new();
    if let Some(maker) = maker_of(anatomy) {
        advice.push(maker.to_owned());
    } else {
        let missing = anatomy.imports.iter().filter(|import| !import.is_provided());
        let (interfaces, items): (Vec<_>, Vec<_>) = missing.partition(|import| import.is_interface());
        let interfaces: BTreeSet<_> = interfaces.iter().map(|import| &*import.from).collect();
        advice.extend(interfaces.into_iter().map(on_interface));
        advice.extend(on_items(&items));
        advice.extend(if anatomy.is_component { on_component(anatomy) } else { on_module(anatomy).map(str::to_owned) });
    }
    let debug = anatomy.debug_bytes();
    if debug >= MANY_DEBUG_BYTES {
        let (debug, size) = (HumanBytes(debug as u64), HumanBytes(size as u64));
        advice.push(format!(
            "{debug} of its {size} are for debuggers: build it with `--release`, and `strip = true` in its profile"
        ));
    }
    advice
}

/// Toolchains that make modules for other hosts.
fn maker_of(anatomy: &Anatomy) -> Option<&'static str> {
    let imports = |begin: &str| anatomy.imports.iter().any(|import| import.from.starts_with(begin));
    let has = |section: &str| anatomy.sections.iter().any(|(name, _)| name.starts_with(section));
    let of_item = |begin: &str| anatomy.imports.iter().any(|import| import.item.starts_with(begin));
    if imports("__wbindgen") || imports("wbg") || has("__wasm_bindgen") {
        return Some(
            "it is made with wasm-bindgen, for browsers: take the crates out that need it (often by their features), and \
             build for wasm32-wasip1",
        );
    }
    if imports("gojs") || imports("go") && of_item("runtime.") {
        return Some("it is made by Go for browsers: build it with GOOS=wasip1 GOARCH=wasm");
    }
    if of_item("emscripten_") {
        return Some("it is made by Emscripten for browsers: build it with wasi-sdk, or clang --target=wasm32-wasi");
    }
    if imports("wasi_unstable") {
        return Some("it is made for the first draft of WASI: build it for wasm32-wasip1 with a newer toolchain");
    }
    if has("linking") {
        return Some("it is an object file, which was not linked");
    }
    None
}

/// What nobody provides to a module.
fn on_items(missing: &[&Import]) -> Option<String> {
    let names: Vec<_> = missing.iter().map(ToString::to_string).collect();
    let more = names.len().checked_sub(NAMED + 1).map(|more| format!(" and {} more", more + 1)).unwrap_or_default();
    let is_env = missing.iter().any(|import| import.from == "env");
    let why = if is_env { ": functions in `env` are declared in the code and defined nowhere" } else { "" };
    let names = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then(|| format!("nobody provides {names}{more}{why}"))
}

/// What a core module lacks.
fn on_module(anatomy: &Anatomy) -> Option<&'static str> {
    let exports = |name: &str| anatomy.exports.iter().any(|export| export == name);
    let uses_wasi = anatomy.imports.iter().any(|import| import.from.starts_with("wasi"));
    let is_rust = exports("__data_end") || exports("__heap_base") || exports("_initialize");
    match anatomy.style() {
        Some(Style::Reconciler) if !exports("reconcile") || !exports("describe") => {
            Some("it carries the world, and not its functions: export them in the crate that is the cdylib")
        }
        // Without an operating system, Rust's standard library does nothing there, and says nothing of it.
        Some(Style::Reconciler) if !uses_wasi && is_rust && !exports("_initialize") => Some(
            "it uses nothing of WASI. If it is built for wasm32-unknown-unknown, what it prints goes nowhere: build it for \
             wasm32-wasip1",
        ),
        Some(Style::Command | Style::Reconciler) => None,
        None if uses_wasi || exports("_initialize") => Some(
            "it is a library for WASI without the world: call `reconciler!` of oarlock-sdk in the crate that is the cdylib",
        ),
        None if is_rust => Some(
            "it is a library without the world, and may be built for wasm32-unknown-unknown: call `reconciler!` of \
             oarlock-sdk in it, and build it for wasm32-wasip1",
        ),
        None => Some("it exports nothing that the host would call"),
    }
}

/// An interface that the host does not have.
fn on_interface(name: &str) -> String {
    let why = match name.split_once('@') {
        _ if name.starts_with("wasi:http/") => {
            "a plugin has no network; what it wants of the cluster it reads by oarlock:plugin/cluster"
        }
        Some((name, _)) if name.starts_with("oarlock:plugin/") => "it is made for another version of the contract",
        Some((name, version)) if name.starts_with("wasi:") && version.starts_with("0.3") => {
            "it is made for WASI 0.3: build it for 0.2, as wasm32-wasip2 is"
        }
        _ => "it is no part of WASI 0.2's command world",
    };
    format!("the host does not provide {name}: {why}")
}

/// What a component lacks.
fn on_component(anatomy: &Anatomy) -> Option<String> {
    if anatomy.style().is_some() {
        return None;
    }
    let named = anatomy.exports.iter().take(NAMED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    Some(if anatomy.exports.iter().any(|name| name.starts_with("wasi:http/incoming-handler@")) {
        "it is a web service, and no controller".to_owned()
    } else if anatomy.exports.is_empty() {
        "it exports nothing".to_owned()
    } else {
        format!("it exports {named}; a plugin exports `describe` and `reconcile`, or is a program with a main function")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(wat: &str) -> String {
        let bytes = wat::parse_str(wat).unwrap();
        on(&Anatomy::of(&bytes).unwrap(), bytes.len()).join("; ")
    }

    #[test]
    fn what_is_no_webassembly_is_told_by_how_it_begins() {
        for (bytes, said) in [
            (&b""[..], "nothing was written to it"),
            (b"\x7fELF\x02\x01\x01\0", "without `--target wasm32-wasip1`"),
            (b"!<arch>\n/", "crate-type"),
            (b"  (module)", "as text"),
            (b"<!DOCTYPE html>", "a web page"),
            (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            (b"hello", "it is a text"),
        ] {
            let found = on_foreign(bytes);
            assert!(found.as_ref().is_some_and(|found| found.contains(said)), "{said}: {found:?}");
        }
        assert_eq!(on_foreign(b"\xfe\xff"), None);
    }

    #[test]
    fn modules_for_other_hosts_are_told_by_what_they_import() {
        for (module, said) in [
            (r#"(module (import "__wbindgen_placeholder__" "__wbindgen_throw" (func)))"#, "wasm-bindgen"),
            (r#"(module (import "gojs" "runtime.ticks" (func)))"#, "GOOS=wasip1"),
            (r#"(module (import "env" "emscripten_resize_heap" (func)))"#, "Emscripten"),
            (r#"(module (import "wasi_unstable" "fd_write" (func)))"#, "first draft"),
            (
                r#"(module (import "env" "fork" (func)) (func (export "_start")))"#,
                "nobody provides env.fork: functions in",
            ),
            (
                r#"(module (import "a" "1" (func)) (import "a" "2" (func)) (import "a" "3" (func)) (import "a" "4" (func)))"#,
                "a.1, a.2, a.3 and 1 more",
            ),
        ] {
            let found = advice(module);
            assert!(found.contains(said), "{said}: {found:?}");
        }
    }

    #[test]
    fn a_library_is_told_what_it_lacks() {
        let wasi = r#"(import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))"#;
        assert!(
            advice(&format!("(module {wasi})"))
                .starts_with("it is a library for WASI without the world: call `reconciler!`")
        );
        let bare = r#"(global (export "__data_end") i32 (i32.const 0))"#;
        assert!(advice(&format!("(module {bare})")).contains("wasm32-unknown-unknown"));
        assert_eq!(advice("(module)"), "it exports nothing that the host would call");
        let world = r#"(@custom "component-type:x:oarlock:plugin@0.1.0:reconciler:encoded world" "")"#;
        assert!(advice(&format!("(module {world})")).starts_with("it carries the world, and not its functions"));
        let both = r#"(func (export "describe")) (func (export "reconcile"))"#;
        assert!(advice(&format!("(module {world} {both} {bare})")).contains("what it prints goes nowhere"));
        assert_eq!(advice(&format!("(module {world} {wasi} {both} {bare})")), "");
    }

    #[test]
    fn a_component_is_told_what_the_host_does_not_have() {
        for (component, said) in [
            (
                r#"(component (import "wasi:http/types@0.2.0" (instance)))"#,
                "wasi:http/types@0.2.0: a plugin has no network",
            ),
            (r#"(component (import "oarlock:plugin/log@0.2.0" (instance)))"#, "another version of the contract"),
            (r#"(component (import "wasi:cli/stdout@0.3.0" (instance)))"#, "build it for 0.2"),
            (r#"(component (import "wasi:cli/stdout@0.2.99" (instance)))"#, "it exports nothing"),
            (
                r#"(component (instance $i) (export "a:b/c" (instance $i)))"#,
                "it exports `a:b/c`; a plugin exports `describe`",
            ),
            (r#"(component (instance $i) (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#, "a web service"),
        ] {
            let found = advice(component);
            assert!(found.contains(said), "{said}: {found:?}");
        }
    }

    #[test]
    fn what_is_for_debuggers_is_told_where_there_is_much_of_it() {
        let module = |size: usize| {
            let section = format!(r#"(@custom ".debug_info" "{}")"#, "x".repeat(size));
            advice(&format!("(module {section} (func (export \"_start\")))"))
        };
        assert_eq!(module(1000), "");
        assert!(module(2 << 20).starts_with("2.00 MiB of its 2.00 MiB are for debuggers"));
    }
}
