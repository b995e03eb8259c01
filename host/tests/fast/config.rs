//! Where the options of the host come from.

use std::process::Output;

use crate::support::host::{Host, Workplace};
use crate::support::{plugins, replica_set};

fn oarlock(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Host::program();
    command.args(args).envs(environment.iter().copied()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_command_line_counts_before_the_environment_and_that_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("oarlock.yaml");
    std::fs::write(&file, "plugins: /plugins\nmemory: 1Mi\ncall-cpu: 1s\nshards: 2\n").unwrap();
    let file = file.to_str().unwrap();
    let environment = [("OARLOCK_CONFIG", file), ("OARLOCK_MEMORY", "2Mi"), ("OARLOCK_CALL_CPU", "2s")];
    let shown = oarlock(&["config", "--memory", "3Mi"], &environment);
    assert!(shown.status.success(), "{}", stderr(&shown));
    let lines: Vec<_> = std::str::from_utf8(&shown.stdout).unwrap().lines().map(String::from).collect();
    for (option, origin) in [
        ("plugins: /plugins", &*format!("{file} line 1")),
        ("memory: 3Mi", "command line"),
        ("call-cpu: 2s", "OARLOCK_CALL_CPU"),
        ("shards: 2", &format!("{file} line 4")),
        ("call-wall: 10s", "default"),
        ("# admin:", "not set"),
    ] {
        let is_it = |line: &&String| {
            line.split_once("  #").is_some_and(|(is, from)| is.trim() == option && from.trim() == origin)
        };
        assert!(lines.iter().any(|line| is_it(&line)), "{option} from {origin}, in\n{}", lines.join("\n"));
    }
}

#[test]
fn a_host_runs_with_what_file_and_environment_say() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    let file = place.folder.path().join("oarlock.yaml");
    let manifests = place.manifests.to_str().unwrap();
    std::fs::write(&file, format!("once: true\ncache-dir: 'off'\nmanifests: {manifests}\n")).unwrap();
    let environment = [("OARLOCK_PLUGINS", place.plugins.to_str().unwrap())];
    let ran = oarlock(&["run", "--config", file.to_str().unwrap()], &environment);
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "default/a: main\n", "{}", stderr(&ran));
    assert_eq!(ran.status.code(), Some(0));
}

#[test]
fn a_wrong_value_is_told_with_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("oarlock.yaml");
    let file = file.to_str().unwrap();
    for (text, environment, expected) in [
        ("plugins: /p\ncall-cpu: 1\n", None, format!("note: --call-cpu is from {file} line 2")),
        ("plugins: /p\nshards: 3\nonce: true\n", None, format!("note: --shards is from {file} line 2")),
        ("plugins: /p\n", Some(("OARLOCK_CALL_CPU", "x")), "note: --call-cpu is from OARLOCK_CALL_CPU".into()),
        ("plugins: /p\nshards: x\n", None, "'--shards <N>': expected a number from 1 to 256".into()),
        ("plugins: /p\nmemory: 2KiB\n", None, "'--memory <BYTES>': `KiB` is no unit of bytes: expected Ki,".into()),
        ("plugin: /p\n", None, format!("error: {file}, line 1: unknown option `plugin`; did you mean `plugins`?")),
    ] {
        std::fs::write(file, text).unwrap();
        for command in ["run", "config"] {
            let ended = oarlock(&[command, "--config", file], environment.as_slice());
            assert_eq!(ended.status.code(), Some(2), "{text}");
            assert!(stderr(&ended).contains(&expected), "{expected} in\n{}", stderr(&ended));
        }
    }
}

#[test]
fn each_option_has_a_line_and_a_page_of_the_manual() {
    let shown = oarlock(&["config", "--plugins", "/p"], &[]);
    let options: Vec<_> = std::str::from_utf8(&shown.stdout)
        .unwrap()
        .lines()
        .map(|line| line.trim_start_matches("# ").split(':').next().unwrap().to_owned())
        .collect();
    assert!(options.len() > 20, "{options:?}");
    let folder = tempfile::tempdir().unwrap();
    assert!(oarlock(&["man", folder.path().to_str().unwrap()], &[]).status.success());
    let page = std::fs::read_to_string(folder.path().join("oarlock-run.1")).unwrap().replace("\\-", "-");
    let completion = oarlock(&["completion", "bash"], &[]).stdout;
    let completion = String::from_utf8(completion).unwrap();
    for option in options {
        assert!(page.contains(&format!("--{option}")), "{option}");
        assert!(completion.contains(&format!("--{option}")), "{option}");
    }
}
