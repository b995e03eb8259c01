//! `oarlock dev`.

use std::path::Path;

use crate::support::host::{Host, Workplace};
use crate::support::{plugins, probe, write_whole};

fn dev(place: &Workplace, project: &Path, more: &[&str]) -> Host {
    let mut command = Host::program();
    command.arg("dev").arg(project).args(more);
    command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("dev")).current_dir(&place.plugins);
    Host::spawn(command)
}

#[test]
fn a_project_is_built_when_a_file_changes_and_a_build_that_fails_takes_nothing_away() {
    let place = Workplace::new();
    let project = place.folder.path();
    let source = project.join("source");
    write_whole(
        &project.join("Makefile"),
        b"all:\n\tgrep -q asm source && mkdir -p build && cp source build/my_probe.wasm\n",
    );
    write_whole(&source, &plugins::probe(1));
    place.object(&probe("a", "count"));
    let host = dev(&place, project, &[]);
    host.line_with("version-0001 default/a");

    write_whole(&source, &plugins::probe(2));
    host.line_with("version-0002 default/a");

    write_whole(&source, b"broken");
    host.log("the build has failed: `make` ended with exit status: 2; the plugin in force stays");
    place.object(&probe("b", "count"));
    host.line_with("version-0002 default/b");

    write_whole(&project.join("my-probe.yaml"), b"concurrency: none\n");
    write_whole(&source, &plugins::probe(3));
    let refused = host.log("concurrency");
    assert_eq!(refused["plugin"], "my-probe", "{refused}");
    write_whole(&project.join("my-probe.yaml"), b"concurrency: 2\n");
    host.line_with("version-0003 default/b");
    host.stop();
}

#[test]
fn a_project_below_a_folder_of_that_name_is_followed_and_a_plugin_that_is_called_otherwise_takes_the_place_of_the_other()
 {
    let place = Workplace::new();
    // Only a folder of the project itself is one of cargo's.
    let project = place.folder.path().join("target/project");
    std::fs::create_dir_all(&project).unwrap();
    write_whole(
        &project.join("Makefile"),
        b"all:\n\trm -rf build && mkdir build && cp source build/$$(cat name).wasm\n",
    );
    write_whole(&project.join("name"), b"one");
    write_whole(&project.join("source"), &plugins::probe(1));
    place.object(&probe("a", "count"));
    let host = dev(&place, &project, &["--manifests", place.manifests.to_str().unwrap()]);
    assert_eq!(host.log("is in force")["plugin"], "one");
    host.line_with("version-0001 default/a");
    write_whole(&project.join("source"), &plugins::probe(2));
    host.line_with("version-0002 default/a");

    write_whole(&project.join("name"), b"two");
    assert_eq!(host.log("stopped: its file is gone")["plugin"], "one");
    host.line_with("version-0002 default/a");
    host.stop();
}

#[test]
fn a_project_of_cargos_is_built_by_cargo_and_runs_once_if_that_is_asked_for() {
    let place = Workplace::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifests = root.join("examples/manifests");
    let finished =
        dev(&place, &root.join("examples/replicas"), &["--once", "--manifests", manifests.to_str().unwrap()]).finish();
    assert_eq!(finished.sorted_stdout(), ["default/web wants 3 replicas", "jobs/queue wants 1 replicas"], "{finished}");
    assert_eq!(finished.status.code(), Some(0));
}

#[test]
fn what_cannot_be_built_is_told_with_what_to_do() {
    let place = Workplace::new();
    let empty = place.folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let manifests = ["--once", "--manifests", place.manifests.to_str().unwrap()];
    for (args, code, expected) in [
        (&[][..], 2, "say with --build how it is built"),
        (&["--build", "true"], 1, "the build made no .wasm file"),
        (&["--build", "true", "--wasm", "a.wasm"], 1, "a.wasm (--wasm)"),
        (&["--build", "touch a.wasm b.wasm"], 1, "there is more than one plugin"),
        (&["--build", "exit 3"], 1, "`exit 3` ended with exit status: 3"),
    ] {
        let finished = dev(&place, &empty, &[&manifests[..], args].concat()).finish();
        assert_eq!(finished.status.code(), Some(code), "{finished}");
        assert!(finished.stderr.iter().any(|line| line.contains(expected)), "{expected}: {finished}");
    }
}
