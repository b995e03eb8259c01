//! The pictures of the status page in the documentation: `make screenshots`.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::host::{Host, Workplace};
use crate::support::{plugins, probe, replica_set};

/// For how long things happen before the pictures are taken, for the charts.
const HISTORY: Duration = Duration::from_mins(4);

fn object(api_version: &str, kind: &str, name: &str, labels: &Value, rest: &Value) -> Value {
    let mut object = json!({
        "apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "shop", "labels": labels},
    });
    for (field, value) in rest.as_object().unwrap() {
        object[field] = value.clone();
    }
    object
}

#[test]
#[ignore = "it takes minutes, and writes to docs/images; `make screenshots` runs it"]
fn pictures_for_the_documentation() {
    let place = Workplace::new();
    for name in ["copy-config", "default-deny", "label-defaulter", "ttl", "website"] {
        place.example(name);
    }
    place.plugin("print-containers", &plugins::print_containers());
    place.plugin("backup-scheduler", &plugins::probe(1));
    for (index, name) in ["cart", "catalog", "checkout", "invoices", "mailer", "search", "sessions"].iter().enumerate()
    {
        let mode = ["requeue", "blink", "-", "later", "retry", "requeue", "-"][index];
        place.object(&probe(&format!("{name}-7d9f"), mode));
        let labels = json!({"app": name});
        let website = json!({"spec": {"image": format!("shop/{name}:1.4"), "replicas": 2}});
        place.object(&object("example.com/v1", "Website", name, &labels, &website));
        let template = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": []}});
        let deployment = json!({"spec": {"selector": {"matchLabels": {"app": name}}, "template": template}});
        place.object(&object("apps/v1", "Deployment", &format!("{name}-worker"), &labels, &deployment));
        let data = json!({"data": {"greeting": "hello"}});
        let labels = json!({"example.com/ttl": if index == 3 { "soon" } else { "12h" }});
        place.object(&object("v1", "ConfigMap", &format!("{name}-session"), &labels, &data));
    }
    std::os::unix::fs::symlink(&place.manifests, place.folder.path().join("shop")).unwrap();
    let mut command = Host::command(&place.plugins);
    command.current_dir(&place.folder).args(["--manifests", "shop", "--admin", "127.0.0.1:0"]);
    let host = Host::spawn(command);
    let address = host.log("serving /livez")["address"].as_str().unwrap().to_owned();
    let browser = crate::Browser::start();
    browser.open(&format!("http://{address}/"));
    host.settled();

    let (start, mut round) = (Instant::now(), 0_u32);
    while start.elapsed() < HISTORY {
        // Some come and go, in waves.
        for index in 0..(round % 17) {
            place.object(&replica_set(&format!("job-{index}"), &[&format!("step-{round}")]));
        }
        round += 1;
        std::thread::sleep(Duration::from_millis(700));
    }
    place.plugin("website", &plugins::variation(plugins::example("website"), 1));
    place.plugin("image-policy", b"not a plugin yet");
    browser.wait("what is wrong", "document.getElementById('problems').innerText.includes('image-policy')");
    browser.screen(1280, 900);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
    std::fs::create_dir_all(&folder).unwrap();
    let take = |name: &str| {
        // What is being drawn is there a moment later.
        std::thread::sleep(Duration::from_millis(300));
        std::fs::write(folder.join(format!("status-{name}.png")), browser.screenshot()).unwrap();
    };
    browser.scheme("light");
    take("light");
    browser.scheme("dark");
    take("dark");
    host.stop();
}
