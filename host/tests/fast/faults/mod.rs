//! What an API server, or the way to it, can do to the host. However it goes, it ends well: the last state of every object
//! is reconciled, what is gone is told as gone, and neither requests nor memory have grown beyond reason.

mod credentials;
mod leases;
mod objects;
mod watches;
mod writes;

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::scripted::{Asked, Server};
use crate::support::host::{Host, Workplace};
use crate::support::{plugins, unseen, wait_until_seen};

/// How much memory the host may take, with what its plugin needs; it has about 100 MB in a debug build.
const MAX_MEMORY: u64 = 300 << 20;

/// A host, and an API server that something is wrong with.
struct Trial {
    place: Workplace,
    server: Server,
    counter: u32,
}

impl Trial {
    /// With so many objects.
    async fn with(objects: usize) -> Self {
        let mut trial = Self { place: Workplace::new(), server: Server::start().await, counter: 0 };
        trial.place.plugin("probe", &plugins::probe(1));
        (0..objects).for_each(|number| trial.change(number));
        trial
    }

    fn host(&self, more: &[&str]) -> Host {
        self.host_at(&self.server.url, &json!({}), &json!({}), more)
    }

    /// A host that reaches the server by that address, with more in the kubeconfig about the cluster and the user.
    fn host_at(&self, url: &str, cluster: &Value, user: &Value, more: &[&str]) -> Host {
        let mut command = Host::command(&self.place.plugins);
        command.arg("--kubeconfig").arg(self.kubeconfig(url, cluster, user)).args(more);
        // A machine that has other things to do is none of the faults that are meant.
        command.args(["--call-cpu", "30s", "--call-wall", "1m"]);
        Host::spawn(command)
    }

    fn kubeconfig(&self, url: &str, cluster: &Value, user: &Value) -> PathBuf {
        let mut cluster = cluster.clone();
        cluster["server"] = url.into();
        let kubeconfig = json!({
            "clusters": [{"name": "faulty", "cluster": cluster}],
            "users": [{"name": "faulty", "user": user}],
            "contexts": [{"name": "faulty", "context": {"cluster": "faulty", "user": "faulty"}}],
            "current-context": "faulty",
        });
        let path = self.place.folder.path().join("kubeconfig");
        fs::write(&path, kubeconfig.to_string()).unwrap();
        path
    }

    /// Creates or changes an object.
    fn change(&mut self, number: usize) {
        self.counter += 1;
        self.server.write(&name(number), &json!({"probe": "-", "probe-counter": self.counter.to_string()}));
    }

    fn delete(&self, number: usize) {
        self.server.delete(&name(number));
    }

    /// Waits until the plugin has seen all as it is.
    fn wait(&self, host: &Host) {
        wait_until_seen(host, &self.server.objects());
    }

    /// Waits for a good end, with no more lists and watches on the way than that.
    fn ends_well(self, host: Host, most_lists: usize, most_watches: usize) {
        self.wait(&host);
        self.has_asked_at_most(most_lists, most_watches);
        let memory = peak_memory(&host);
        assert!(memory < MAX_MEMORY, "{} MB", memory >> 20);
        let stdout = host.stop().stdout;
        assert_eq!(unseen(&stdout, &self.server.objects()), [""; 0], "and that is how it stays");
    }

    fn has_asked_at_most(&self, most_lists: usize, most_watches: usize) {
        let asked = self.server.count();
        for (what, most) in [(Asked::List, most_lists), (Asked::Watch, most_watches)] {
            let count = asked.iter().filter(|(asked, _)| *asked == what).count();
            assert!(count <= most, "{count} times {what:?}");
        }
    }
}

fn name(number: usize) -> String {
    format!("object-{number}")
}

/// The most bytes that the host has had so far.
fn peak_memory(host: &Host) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
