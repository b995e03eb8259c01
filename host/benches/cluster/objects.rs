//! ReplicaSets as a cluster has them that runs the applications of many teams: of each Deployment a few revisions, all
//! named, configured and annotated alike and none with the same values.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// How many revisions each Deployment has.
const REVISIONS: usize = 4;
/// In how many namespaces they are.
const NAMESPACES: usize = 40;
/// The letters of hashes of pod templates.
const HASH: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const HEX: &[u8] = b"0123456789abcdef";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const TEAMS: [&str; 10] =
    ["payments", "search", "checkout", "identity", "catalog", "shipping", "billing", "growth", "data", "platform"];
const STAGES: [&str; 4] = ["dev", "qa", "staging", "prod"];
const APPLICATIONS: [&str; 24] = [
    "orders",
    "invoices",
    "ledger",
    "accounts",
    "sessions",
    "tokens",
    "profiles",
    "carts",
    "prices",
    "discounts",
    "stock",
    "parcels",
    "routes",
    "reviews",
    "ranking",
    "suggest",
    "mailer",
    "notify",
    "reports",
    "exports",
    "audit",
    "media",
    "webhooks",
    "currency",
];
const COMPONENTS: [&str; 8] = ["api", "worker", "web", "gateway", "consumer", "scheduler", "cache", "admin"];
const SIDECARS: [&str; 5] = ["log-shipper", "envoy", "metrics-exporter", "config-reloader", "vault-agent"];
/// Names of settings, and what their values are.
const SETTINGS: [(&str, Setting); 20] = [
    ("LOG_LEVEL", Setting::Of(&["debug", "info", "info", "warn"])),
    ("LOG_FORMAT", Setting::Of(&["json", "text"])),
    ("DATABASE_URL", Setting::Url("postgres", 5432)),
    ("REDIS_URL", Setting::Url("redis", 6379)),
    ("KAFKA_BROKERS", Setting::Url("kafka", 9092)),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", Setting::Url("http", 4317)),
    ("UPSTREAM_URL", Setting::Url("http", 8080)),
    ("HTTP_PORT", Setting::Number(1024, 65535)),
    ("MAX_CONNECTIONS", Setting::Number(8, 512)),
    ("REQUEST_TIMEOUT_MS", Setting::Number(100, 60_000)),
    ("CACHE_TTL_SECONDS", Setting::Number(1, 86_400)),
    ("WORKERS", Setting::Number(1, 32)),
    ("FEATURE_FLAGS", Setting::Of(&["", "new-checkout", "new-checkout,fast-search", "dark-mode,beta"])),
    ("REGION", Setting::Of(&["eu-central-1", "eu-west-1", "us-east-1", "ap-south-1"])),
    ("BUILD_ID", Setting::Hex(16)),
    ("CLIENT_ID", Setting::Hex(32)),
    ("PUBLIC_KEY", Setting::Base64(44)),
    ("S3_BUCKET", Setting::Hex(10)),
    ("GOMAXPROCS", Setting::Number(1, 16)),
    ("SENTRY_DSN", Setting::Url("https", 443)),
];

enum Setting {
    Of(&'static [&'static str]),
    Url(&'static str, u16),
    Number(u32, u32),
    Hex(usize),
    Base64(usize),
}

/// All namespaces that there are objects in.
pub(crate) fn namespaces() -> impl Iterator<Item = String> {
    (0..NAMESPACES).map(namespace)
}

fn namespace(number: usize) -> String {
    format!("{}-{}", TEAMS[number % TEAMS.len()], STAGES[number / TEAMS.len()])
}

/// The ReplicaSet of that number, which is the same in each run, as it is written to the API server. That fills in
/// defaults, uid, times and `managedFields`, with which it has about 4 KB.
pub(crate) fn replica_set(number: usize) -> Value {
    let (deployment, revision) = (number / REVISIONS, number % REVISIONS);
    // What all revisions of a Deployment have in common is drawn first, and then what is of one revision alone.
    let mut common = Rng::with_seed(deployment as u64);
    let mut own = Rng::with_seed(1 << 40 | number as u64);
    let namespace = namespace(common.usize(..NAMESPACES));
    let (application, component) = (pick(&mut common, &APPLICATIONS), pick(&mut common, &COMPONENTS));
    let name = format!("{application}-{component}");
    let hash = text(&mut own, HASH, 10);
    let version = format!("{}.{}.{}", common.u8(0..4), common.u8(0..30), revision);
    let replicas = if revision + 1 == REVISIONS { common.u32(1..12) } else { 0 };
    let mut labels = json!({
        "app.kubernetes.io/name": name,
        "pod-template-hash": hash,
    });
    let selector = labels.clone();
    labels["app.kubernetes.io/version"] = version.clone().into();
    let mut annotations = json!({
        "deployment.kubernetes.io/desired-replicas": replicas.to_string(),
        "deployment.kubernetes.io/max-replicas": (replicas + replicas.div_ceil(4)).to_string(),
        "deployment.kubernetes.io/revision": (revision + 1).to_string(),
    });
    if common.bool() {
        annotations["meta.helm.sh/release-name"] = name.clone().into();
        annotations["meta.helm.sh/release-namespace"] = namespace.clone().into();
    } else {
        annotations["example.com/commit"] = text(&mut own, HEX, 40).into();
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{name}-{hash}"),
            "namespace": namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": uid(&mut common),
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {"checksum/config": text(&mut own, HEX, 64), "prometheus.io/scrape": "true"},
                },
                "spec": pod(&mut common, &mut own, &name, &version),
            },
        },
    })
}

/// What a program has to print for an object.
pub(crate) fn line(object: &Value) -> String {
    let metadata = &object["metadata"];
    let containers = object["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    let names: Vec<_> = containers.iter().map(|container| container["name"].as_str().unwrap()).collect();
    format!("{}/{}: {}", metadata["namespace"].as_str().unwrap(), metadata["name"].as_str().unwrap(), names.join(", "))
}

fn pod(common: &mut Rng, own: &mut Rng, name: &str, version: &str) -> Value {
    let mut containers = vec![container(common, own, name, version)];
    if common.u8(..4) == 0 {
        let sidecar = pick(common, &SIDECARS);
        containers.push(json!({
            "name": sidecar,
            "image": format!("registry.example.com/platform/{sidecar}:v{}.{}", common.u8(1..4), common.u8(..20)),
            "resources": {"limits": {"memory": format!("{}Mi", 32 * common.u8(1..8))}},
        }));
    }
    json!({
        "serviceAccountName": name,
        "containers": containers,
        "volumes": [{"name": "config", "configMap": {"name": format!("{name}-{}", text(own, HASH, 8))}}],
    })
}

fn container(common: &mut Rng, own: &mut Rng, name: &str, version: &str) -> Value {
    let port = common.u16(1024..10_000);
    let mut settings: Vec<_> = SETTINGS.iter().collect();
    common.shuffle(&mut settings);
    let count = common.usize(..4);
    let env: Vec<_> = settings[..count]
        .iter()
        .map(|(setting, value)| {
            // Some differ from revision to revision.
            let (of_all, of_this) = (value.draw(common), value.draw(own));
            json!({"name": setting, "value": if own.u8(..4) == 0 { of_this } else { of_all }})
        })
        .collect();
    let mut container = Map::new();
    container.insert("name".into(), name.into());
    container.insert("image".into(), format!("registry.example.com/{name}:{version}-{}", text(own, HEX, 8)).into());
    container.insert("env".into(), env.into());
    container.insert("ports".into(), json!([{"name": "http", "containerPort": port}]));
    container.insert("volumeMounts".into(), json!([{"name": "config", "mountPath": format!("/etc/{name}")}]));
    let [cpu, memory] = [50 * common.u32(1..40), 64 * common.u32(1..64)];
    container.insert(
        "resources".into(),
        json!({"requests": {"cpu": format!("{cpu}m"), "memory": format!("{memory}Mi")},
            "limits": {"memory": format!("{}Mi", memory * 2)}}),
    );
    if common.u8(..4) == 0 {
        container.insert("readinessProbe".into(), json!({"httpGet": {"path": "/healthz", "port": port}}));
    }
    container.into()
}

impl Setting {
    fn draw(&self, random: &mut Rng) -> String {
        match self {
            Self::Of(values) => pick(random, values).into(),
            Self::Url(scheme, port) => {
                let (application, team) = (pick(random, &APPLICATIONS), pick(random, &TEAMS));
                format!("{scheme}://{application}-{}.{team}.svc.cluster.local:{port}", random.u8(..10))
            }
            Self::Number(from, to) => random.u32(from..to).to_string(),
            Self::Hex(length) => text(random, HEX, *length),
            Self::Base64(length) => text(random, BASE64, *length),
        }
    }
}

fn pick(random: &mut Rng, values: &[&'static str]) -> &'static str {
    values[random.usize(..values.len())]
}

fn text(random: &mut Rng, letters: &[u8], length: usize) -> String {
    (0..length).map(|_| char::from(letters[random.usize(..letters.len())])).collect()
}

fn uid(random: &mut Rng) -> String {
    [8, 4, 4, 4, 12].map(|length| text(random, HEX, length)).join("-")
}
