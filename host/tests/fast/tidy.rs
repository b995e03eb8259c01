//! Lines between modules that the design draws, checked in the source.

use std::fs;
use std::path::{Path, PathBuf};

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
            (path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), code)
        })
        .collect()
}

fn offenders(allowed: impl Fn(&str) -> bool, forbidden: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, code) in sources().into_iter().filter(|(path, _)| !allowed(path)) {
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            if forbidden.iter().any(|word| line.contains(word)) {
                found.push(format!("{path}: {line}"));
            }
        }
    }
    found
}

#[test]
fn a_module_uses_only_those_before_it_in_lib_rs() {
    let lib = sources().into_iter().find(|(path, _)| path == "lib.rs").unwrap().1;
    let order: Vec<_> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(order.len() > 10, "{order:?}");
    let place = |module: &str| order.iter().position(|other| *other == module).unwrap();
    for (path, code) in sources().into_iter().filter(|(path, _)| path != "lib.rs" && path != "main.rs") {
        let module = path.split('/').next().unwrap().trim_end_matches(".rs");
        for used in code.split("crate::").skip(1) {
            let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            assert!(used == module || place(used) < place(module), "{path} uses {used}, which stands after it");
        }
    }
}

#[test]
fn wasmtime_stays_inside_of_plugin() {
    assert_eq!(offenders(|path| path.starts_with("plugin/"), &["wasmtime"]), [""; 0]);
}

#[test]
fn the_kube_client_stays_where_the_cluster_is_talked_to() {
    let talks = |path: &str| {
        let files =
            ["source/cluster.rs", "source/watcher.rs", "action/cluster.rs", "action/events.rs", "leader/leases.rs"];
        path.starts_with("cluster/") || files.contains(&path)
    };
    assert_eq!(offenders(talks, &["kube::Client", "kube::Api", "Api<", "kube::runtime"]), [""; 0]);
}

#[test]
fn the_pure_middle_does_no_io_and_reads_no_clock() {
    let pure = [
        "action/guard.rs",
        "action/in_memory.rs",
        "action/plan.rs",
        "breaker.rs",
        "cache.rs",
        "diff.rs",
        "folder/settle.rs",
        "grant/",
        "health/",
        "hot_loop.rs",
        "journal/",
        "leader/election.rs",
        "nearest.rs",
        "object/",
        "names.rs",
        "plugin/advice.rs",
        "plugin/anatomy.rs",
        "probation.rs",
        "queue/mod.rs",
        "rbac.rs",
        "quota.rs",
        "reads.rs",
        "rights.rs",
        "selector/",
        "source/list.rs",
        "source/manifests/fields.rs",
        "source/manifests/kinds.rs",
        "source/manifests/merge.rs",
        "source/manifests/parse.rs",
        "source/manifests/patch.rs",
        "source/manifests/store.rs",
        "text.rs",
        "trial/expected.rs",
        "trial/shape.rs",
        "yaml.rs",
    ];
    let impure = ["Instant::now", "SystemTime::now", "std::fs", "std::net", "tokio::", "async "];
    let is_in = |path: &str, place: &str| path == place || place.ends_with('/') && path.starts_with(place);
    for place in pure {
        assert!(sources().iter().any(|(path, _)| is_in(path, place)), "{place} is there");
    }
    assert_eq!(offenders(|path| !pure.iter().any(|place| is_in(path, place)), &impure), [""; 0]);
}

#[test]
fn nothing_is_printed_by_what_panics_where_nobody_reads() {
    assert_eq!(offenders(|_| false, &[" print!(", " println!("]), [""; 0]);
}

#[test]
fn unsafe_code_is_only_where_compiled_code_is_taken_in_and_c_is_called_that_no_crate_wraps() {
    let files = ["plugin/aot.rs", "object/pack.rs", "memory.rs"];
    let unsafe_code = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe_code"];
    assert_eq!(offenders(|path| files.contains(&path), &unsafe_code), [""; 0]);
}

#[test]
fn files_stay_small() {
    let long: Vec<_> =
        sources().into_iter().filter(|(_, code)| code.lines().count() > 400).map(|(path, _)| path).collect();
    assert_eq!(long, [""; 0]);
}

#[test]
fn the_tests_that_the_docs_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in ["host/src", "host/tests", "plugins/sdk/src"] {
        walk(&root.join(folder), &mut files);
    }
    let code: String = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    for page in ["security.md", "reliability.md", "tested-behaviours.md"] {
        let text = fs::read_to_string(root.join("docs").join(page)).unwrap();
        // Tests stand in the last column.
        let tests = text.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit_once(" | ")).map(|(_, tests)| tests);
        let quoted = tests.flat_map(|tests| tests.split('`').skip(1).step_by(2));
        let named: Vec<_> = quoted.filter(|word| word.matches('_').count() > 2).collect();
        assert!(named.len() > 30, "{page}: {named:?}");
        let missing: Vec<_> = named.iter().filter(|name| !code.contains(&format!("fn {name}()"))).collect();
        assert!(missing.is_empty(), "{page}: {missing:?}");
    }
}
