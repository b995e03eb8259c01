//! What it was measured on.

use std::fs;
use std::process::Command;

use crate::control_plane::ControlPlane;

/// Tells of the machine and of versions, as a table.
pub(crate) fn describe(cluster: &ControlPlane) -> String {
    let cores = std::thread::available_parallelism().unwrap();
    let memory = field("/proc/meminfo", "MemTotal");
    let memory: f64 = memory.trim_end_matches(" kB").parse().unwrap();
    let changes =
        output("git", &["status", "--porcelain", "--untracked-files=no", "--", ".", "../plugins", "../Cargo.lock"]);
    let rows = [
        ("processor", format!("{}, {cores} cores", field("/proc/cpuinfo", "model name"))),
        ("memory", format!("{:.0} GiB", memory / 1024.0 / 1024.0)),
        ("kernel", fs::read_to_string("/proc/sys/kernel/osrelease").unwrap()),
        ("API server", cluster.version()),
        ("Rust", output("rustc", &["--version"])),
        ("Oarlock's commit", output("git", &["rev-parse", "--short", "HEAD"])),
        ("changed since", if changes.is_empty() { "no".into() } else { "yes".into() }),
    ];
    let rows = rows.map(|(what, is)| format!("| {what} | {} |\n", is.trim()));
    format!("| | |\n|---|---|\n{}", rows.concat())
}

fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix(':'));
    value.unwrap_or("unknown").trim().to_owned()
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}
