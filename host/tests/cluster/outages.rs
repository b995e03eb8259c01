//! An API server that goes away and comes back.

use std::fs;

use crate::control_plane::ControlPlane;
use crate::support::host::{Host, Workplace};
use crate::support::{http_get, plugins, poll, replica_set};

#[test]
fn a_killed_api_server_is_waited_for_and_nothing_is_printed_twice() {
    let mut cluster = ControlPlane::start();
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    for name in ["a", "b", "c"] {
        cluster.apply(&replica_set(name, &["main"]));
    }
    let host = cluster.host(&place.plugins, &[]);
    host.settled();
    cluster.kill_api_server();
    host.log("cannot watch apps/v1 ReplicaSet at https://127.0.0.1:");
    cluster.start_api_server();
    cluster.apply(&replica_set("b", &["changed"]));
    host.line("default/b: changed");
    host.log("watching apps/v1 ReplicaSet at https://127.0.0.1:");
    cluster.apply(&replica_set("d", &["new"]));
    host.line("default/d: new");
    let finished = host.stop();
    let expected = ["default/a: main", "default/b: changed", "default/b: main", "default/c: main", "default/d: new"];
    assert_eq!(finished.sorted_stdout(), expected);
}

#[test]
fn an_api_server_that_is_down_at_the_start_is_waited_for() {
    let mut cluster = ControlPlane::prepare();
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    let host = cluster.host(&place.plugins, &["--admin", "127.0.0.1:0"]);
    let address = host.log("serving /livez")["address"].as_str().unwrap().to_owned();
    host.log("cannot watch apps/v1 ReplicaSet at https://127.0.0.1:");
    poll("plugin in force", || {
        http_get(&address, "/readyz").contains("[-] watch of apps/v1 ReplicaSet: not listed yet").then_some(())
    });
    assert!(http_get(&address, "/readyz").starts_with("HTTP/1.1 503 "));
    assert!(http_get(&address, "/livez").starts_with("HTTP/1.1 200 "));
    cluster.start_api_server();
    cluster.apply(&replica_set("a", &["main"]));
    host.line("default/a: main");
    poll("readiness", || http_get(&address, "/readyz").starts_with("HTTP/1.1 200 ").then_some(()));
    host.stop();
}

#[test]
fn no_cluster_at_all_is_said_with_what_to_do() {
    let place = Workplace::new();
    let missing = place.folder.path().join("missing");
    let kubeconfig = [("HOME", place.folder.path().as_os_str()), ("KUBECONFIG", missing.as_os_str())];
    let host = Host::start(&place.plugins, &[], &kubeconfig);
    let finished = host.finish();
    assert_eq!(finished.status.code(), Some(1));
    finished.log("use --kubeconfig FILE, or --manifests PATH to do without one");
    let broken = place.folder.path().join("broken");
    fs::write(&broken, "clusters: 3").unwrap();
    let args = ["--kubeconfig".as_ref(), broken.as_os_str()];
    let finished = Host::start(&place.plugins, &args, &[]).finish();
    assert_eq!(finished.status.code(), Some(1));
    finished.log(&format!("kubeconfig {}", broken.display()));
}
