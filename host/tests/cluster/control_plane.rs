//! etcd, kube-apiserver and kube-controller-manager on 127.0.0.1, with the defaults of a real cluster for admission and
//! authorization.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::iter;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::host::Host;
use crate::support::{DEADLINE, poll};

const ADMIN_TOKEN: &str = "admin-of-the-tests";

/// A control plane of a test's own. It ends when dropped, and when the test's process ends in whatever way.
pub(crate) struct ControlPlane {
    assets: PathBuf,
    folder: TempDir,
    port: u16,
    etcd_port: u16,
    etcd_peer_port: u16,
    etcd: Option<Guarded>,
    api_server: Option<Guarded>,
    controller_manager: Option<Guarded>,
}

impl ControlPlane {
    /// Starts etcd, and nothing else yet.
    pub(crate) fn prepare() -> Self {
        let assets = std::env::var_os("OARLOCK_TEST_CONTROL_PLANE")
            .expect("OARLOCK_TEST_CONTROL_PLANE names a folder with etcd, kube-apiserver and more: run `make test`");
        let folder = tempfile::tempdir().unwrap();
        let [port, etcd_port, etcd_peer_port] = free_ports();
        let mut cluster = Self {
            assets: assets.into(),
            folder,
            port,
            etcd_port,
            etcd_peer_port,
            etcd: None,
            api_server: None,
            controller_manager: None,
        };
        cluster.write_credentials();
        cluster.start_etcd();
        cluster
    }

    /// Starts etcd and the API server, and waits until it is ready.
    pub(crate) fn start() -> Self {
        let mut cluster = Self::prepare();
        cluster.start_api_server();
        cluster
    }

    /// Starts everything.
    pub(crate) fn start_all() -> Self {
        let mut cluster = Self::start();
        let mut args = vec![
            format!("--kubeconfig={}", cluster.kubeconfig().display()),
            format!("--service-account-private-key-file={}", cluster.path("accounts.key").display()),
            format!("--root-ca-file={}", cluster.path("ca.crt").display()),
            "--use-service-account-credentials".into(),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={}", free_ports::<1>()[0]),
            format!("--cert-dir={}", cluster.path("controller-manager").display()),
            "--leader-elect=false".into(),
        ];
        if cluster.minor_version() < 24 {
            args.push("--port=0".into());
        }
        cluster.controller_manager = Some(cluster.start_program("kube-controller-manager", &args));
        cluster
    }

    pub(crate) fn start_etcd(&mut self) {
        let of = |port| format!("http://127.0.0.1:{port}");
        let (clients, peers) = (of(self.etcd_port), of(self.etcd_peer_port));
        self.etcd = Some(self.start_program(
            "etcd",
            &[
                format!("--data-dir={}", self.path("etcd").display()),
                format!("--listen-client-urls={clients}"),
                format!("--advertise-client-urls={clients}"),
                format!("--listen-peer-urls={peers}"),
                format!("--initial-advertise-peer-urls={peers}"),
                format!("--initial-cluster=default={peers}"),
            ],
        ));
    }

    /// Kills etcd as `kill -9` does.
    pub(crate) fn kill_etcd(&mut self) {
        self.etcd = None;
        poll("end of etcd", || TcpStream::connect(("127.0.0.1", self.etcd_port)).is_err().then_some(()));
    }

    /// Kills everything, and starts it again with nothing in it.
    pub(crate) fn begin_anew(&mut self) {
        self.kill_api_server();
        self.kill_etcd();
        fs::remove_dir_all(self.path("etcd")).unwrap();
        self.start_etcd();
        self.start_api_server();
    }

    /// Has etcd forget what has led to how things are.
    pub(crate) fn compact(&self) {
        let revision = &self.ask_etcd("/v3/kv/range", &json!({"key": "eA=="}))["header"]["revision"];
        let compacted = self.ask_etcd("/v3/kv/compaction", &json!({"revision": revision, "physical": true}));
        assert!(compacted["header"].is_object(), "{compacted}");
    }

    fn ask_etcd(&self, path: &str, body: &Value) -> Value {
        let (address, body) = (format!("127.0.0.1:{}", self.etcd_port), body.to_string());
        let mut connection = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(connection, "POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    pub(crate) fn start_api_server(&mut self) {
        self.api_server = Some(self.start_program(
            "kube-apiserver",
            &[
                format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
                "--bind-address=127.0.0.1".into(),
                format!("--secure-port={}", self.port),
                format!("--tls-cert-file={}", self.path("server.crt").display()),
                format!("--tls-private-key-file={}", self.path("server.key").display()),
                format!("--token-auth-file={}", self.path("tokens.csv").display()),
                "--authorization-mode=Node,RBAC".into(),
                "--service-account-issuer=https://kubernetes.default.svc".into(),
                format!("--service-account-signing-key-file={}", self.path("accounts.key").display()),
                format!("--service-account-key-file={}", self.path("accounts.pub").display()),
                "--service-cluster-ip-range=10.0.0.0/24".into(),
            ],
        ));
        let start = Instant::now();
        while let Err(error) = self.kubectl_output(["get", "namespace", "default"]) {
            if start.elapsed() > DEADLINE * 2 {
                let log = fs::read_to_string(self.path("kube-apiserver.log")).unwrap();
                panic!("the API server is not ready: {error}\n{log}");
            }
            sleep(Duration::from_millis(100));
        }
    }

    /// Adds how often the API server has answered lists and watches of ReplicaSets, which is what hosts ask for, since it
    /// was started.
    pub(crate) fn count_requests(&self, counts: &mut BTreeMap<String, u64>) {
        let metrics = self.kubectl(["get", "--raw", "/metrics"]);
        for line in metrics.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
            let label = |name: &str| Some(line.split_once(&format!("{name}=\""))?.1.split_once('"')?.0);
            let (Some("replicasets"), Some(verb @ ("LIST" | "WATCH"))) = (label("resource"), label("verb")) else {
                continue;
            };
            let count = line.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
            *counts.entry(verb.to_owned()).or_default() += count;
        }
    }

    /// Kills the API server as `kill -9` does.
    pub(crate) fn kill_api_server(&mut self) {
        self.api_server = None;
        poll("end of the API server", || TcpStream::connect(("127.0.0.1", self.port)).is_err().then_some(()));
    }

    /// Of the cluster's administrator.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path("admin.kubeconfig")
    }

    /// Where the API server listens on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Writes a kubeconfig of the administrator who reaches the API server by that port.
    pub(crate) fn kubeconfig_by(&self, name: &str, port: u16) -> PathBuf {
        self.write_kubeconfig(name, port, ADMIN_TOKEN)
    }

    /// Writes a kubeconfig for the holder of that token.
    pub(crate) fn kubeconfig_for(&self, name: &str, token: &str) -> PathBuf {
        self.write_kubeconfig(name, self.port, token)
    }

    fn write_kubeconfig(&self, name: &str, port: u16, token: &str) -> PathBuf {
        let path = self.path(&format!("{name}.kubeconfig"));
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://127.0.0.1:{port}"), "certificate-authority": self.path("ca.crt"),
            }}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        fs::write(&path, kubeconfig.to_string()).unwrap();
        path
    }

    /// Runs kubectl as the administrator, and returns what it prints.
    pub(crate) fn kubectl<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> String {
        self.kubectl_output(args).unwrap_or_else(|error| panic!("kubectl: {error}"))
    }

    fn kubectl_output<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
        let mut command = Command::new(self.assets.join("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig()).arg("--cache-dir").arg(self.path("kubectl")).args(args);
        let output = command.output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8(output.stderr).unwrap());
        }
        Ok(String::from_utf8(output.stdout).unwrap())
    }

    /// Runs a command of a shell in which `kubectl` is the administrator's.
    pub(crate) fn run(&self, command: &str) {
        let path = std::env::join_paths([&*self.assets, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-ec", command]).env("PATH", path).env("KUBECONFIG", self.kubeconfig());
        let output = shell.env("HOME", self.folder.path()).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// `kubectl apply` of an object.
    pub(crate) fn apply(&self, object: &Value) {
        self.try_apply(object).unwrap_or_else(|error| panic!("kubectl apply: {error}"));
    }

    pub(crate) fn try_apply(&self, object: &Value) -> Result<String, String> {
        self.apply_with(object, &[])
    }

    /// Has the API server say what it would make of a server-side apply.
    pub(crate) fn try_dry_run(&self, object: &Value) -> Result<String, String> {
        self.apply_with(object, &["--server-side", "--dry-run=server"])
    }

    fn apply_with(&self, object: &Value, more: &[&str]) -> Result<String, String> {
        let path = self.path("applied.json");
        fs::write(&path, object.to_string()).unwrap();
        self.kubectl_output(["apply", "-f", path.to_str().unwrap()].iter().chain(more).copied())
    }

    /// What `kubectl get` has of that, or null.
    pub(crate) fn get<'a>(&self, what: impl IntoIterator<Item = &'a str>) -> Value {
        let args = ["get", "--ignore-not-found", "-o", "json"].into_iter().chain(what);
        let text = self.kubectl(args);
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }

    /// Waits until `kubectl get` has this value of that at that place, where null is nothing.
    pub(crate) fn wait_for(&self, what: &[&str], pointer: &str, expected: &Value) {
        let start = Instant::now();
        loop {
            let object = self.get(what.iter().copied());
            let found = object.pointer(pointer).unwrap_or(&Value::Null);
            if found == expected {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "{what:?} has not {expected} at {pointer}, but {found}");
        }
    }

    /// Waits until there is no such object.
    pub(crate) fn wait_until_gone(&self, what: &[&str]) {
        self.wait_for(what, "", &Value::Null);
    }

    /// Waits for an Event of that reason about an object, with that note.
    pub(crate) fn wait_for_note(&self, namespace: &str, object: &str, reason: &str, note: &str) {
        let selector = format!("involvedObject.name={object},reason={reason}");
        poll(&format!("Event {reason} about {object}: {note}"), || {
            let events = self.get(["events", "-n", namespace, "--field-selector", &selector]);
            events["items"].as_array().into_iter().flatten().find(|event| event["message"] == note).map(drop)
        });
    }

    /// A kubeconfig of a service account, with a token as a pod would have.
    pub(crate) async fn kubeconfig_of_account(&self, namespace: &str, name: &str) -> PathBuf {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await, namespace);
        let token =
            accounts.create_token_request(name, &PostParams::default(), &TokenRequest::default()).await.unwrap();
        self.kubeconfig_for(name, &token.status.unwrap().token)
    }

    /// A client of the administrator.
    pub(crate) async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig()).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }

    /// Creates objects, many at a time.
    pub(crate) async fn create(&self, objects: impl IntoIterator<Item = Value>) {
        use futures::StreamExt as _;
        use k8s_openapi::api::apps::v1::ReplicaSet;
        let api: Api<ReplicaSet> = Api::default_namespaced(self.client().await);
        let create = |object: Value| {
            let api = api.clone();
            async move { api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap() }
        };
        futures::stream::iter(objects).map(create).buffer_unordered(32).collect::<Vec<_>>().await;
    }

    /// Starts the host on this cluster as the administrator.
    pub(crate) fn host(&self, plugins: &Path, more: &[&str]) -> Host {
        host_as(&self.kubeconfig(), plugins, more)
    }

    /// What the API server says that it is, such as `Kubernetes v1.20.2`.
    pub(crate) fn version(&self) -> String {
        let output = Command::new(self.assets.join("kube-apiserver")).arg("--version").output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn minor_version(&self) -> u32 {
        self.version().split('.').nth(1).unwrap().parse().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start_program(&self, name: &str, args: &[String]) -> Guarded {
        let log = fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        Guarded::start(&self.assets.join(name), args, log)
    }

    fn write_credentials(&self) {
        let write = |name: &str, text: String| fs::write(self.path(name), text).unwrap();
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(vec![]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        write("ca.crt", ca.self_signed(&ca_key).unwrap().pem());
        let server_key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
        write("server.crt", server.signed_by(&server_key, &Issuer::from_params(&ca, &ca_key)).unwrap().pem());
        write("server.key", server_key.serialize_pem());
        let accounts_key = KeyPair::generate().unwrap();
        write("accounts.key", accounts_key.serialize_pem());
        write("accounts.pub", accounts_key.public_key_pem());
        write("tokens.csv", format!("{ADMIN_TOKEN},admin,admin,system:masters\n"));
        self.kubeconfig_for("admin", ADMIN_TOKEN);
    }
}

/// Starts the host with that kubeconfig.
pub(crate) fn host_as(kubeconfig: &Path, plugins: &Path, more: &[&str]) -> Host {
    let mut args = vec![OsStr::new("--kubeconfig"), kubeconfig.as_os_str()];
    args.extend(more.iter().map(OsStr::new));
    Host::start(plugins, &args, &[])
}

/// A program that is killed when this is dropped, or when this process ends in whatever way.
struct Guarded(Child);

impl Guarded {
    fn start(program: &Path, args: &[String], log: fs::File) -> Self {
        // The shell waits for the end of its stdin, which is ours.
        let script = r#""$@" </dev/null & trap '' PIPE; cat >/dev/null; kill -9 $!; wait"#;
        let child = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Ports of 127.0.0.1 that nobody listens on, and that nobody is given who asks the kernel for any: it mostly has those from
/// 32768 on.
fn free_ports<const N: usize>() -> [u16; N] {
    // Other processes begin elsewhere.
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(std::process::id()));
    let next = || Some(u16::try_from(20_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 12_000).unwrap());
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut ports = iter::from_fn(next).filter(is_free);
    [(); N].map(|()| ports.next().unwrap())
}
