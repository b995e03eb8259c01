//! What is in `deploy/`, as objects.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use super::plugins;

/// The folder `deploy/`.
pub(crate) const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");

/// The ways to bring plugins, each an overlay.
pub(crate) const OVERLAYS: [&str; 4] = ["config-map", "volume-claim", "image", "git"];

/// The folder of the programs that `host/tests/deploy-tools/fetch.sh` brings.
pub(crate) fn tools() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy-tools/fetch.sh");
        PathBuf::from(output(&mut Command::new(script)).trim_end())
    })
}

/// One of these programs.
pub(crate) fn tool(name: &str) -> Command {
    Command::new(tools().join(name))
}

/// What a command prints that has to succeed.
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A copy of `deploy/`, with the default plugin where its overlays want one.
pub(crate) fn copy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    output(Command::new("cp").arg("-r").arg(DEPLOY).arg(folder.path().join("deploy")));
    let plugin = folder.path().join("deploy/overlays/config-map/print-containers.wasm");
    std::fs::write(plugin, plugins::print_containers()).unwrap();
    folder
}

/// The objects that `kubectl kustomize` makes of a folder.
pub(crate) fn kustomize(folder: &Path) -> Vec<Value> {
    objects(&output(tool("kubectl").arg("kustomize").arg(folder)))
}

/// The base and all overlays, by name.
pub(crate) fn kustomizations() -> Vec<(&'static str, Vec<Value>)> {
    let copy = copy();
    let overlays = OVERLAYS.map(|name| (name, format!("overlays/{name}")));
    let all = [("base", "base".to_owned())].into_iter().chain(overlays);
    all.map(|(name, path)| (name, kustomize(&copy.path().join("deploy").join(path)))).collect()
}

/// The objects that `helm template` makes of the chart.
pub(crate) fn chart(release: &str, namespace: &str, more: &[&str]) -> Result<Vec<Value>, String> {
    let mut command = tool("helm");
    command.args(["template", release, "--namespace", namespace]).arg(Path::new(DEPLOY).join("chart")).args(more);
    let output = command.output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    Ok(objects(std::str::from_utf8(&output.stdout).unwrap()))
}

/// The documents of a YAML file.
pub(crate) fn objects(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// The host's container in the Deployment among these objects.
pub(crate) fn container(objects: &[Value]) -> &Value {
    let container = &only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["name"], "oarlock");
    container
}

/// The one object of that kind.
pub(crate) fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("a {kind}"));
    assert_eq!(found.next(), None, "one {kind}");
    object
}
