//! What the host proves itself with, and what the API server does; and a clock that jumps, by which both expire.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto};

use super::Trial;
use crate::scripted::End;
use crate::support::host::Host;
use crate::support::{asking, poll, write_whole};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_not_taken_any_more_is_read_anew() {
    let mut trial = Trial::with(20).await;
    let token = trial.place.folder.path().join("token");
    write_whole(&token, b"first");
    trial.server.faults(|faults| faults.token = Some("first".into()));
    let user = json!({"tokenFile": token});
    let host = trial.host_at(&trial.server.url, &json!({}), &user, &[]);
    trial.wait(&host);

    trial.server.faults(|faults| faults.token = Some("second".into()));
    trial.server.end_watch(End::Closed);
    trial.change(1);
    trial.delete(10);
    host.log("trying again in");
    // kube reads such a file once in a minute.
    let start = Instant::now();
    write_whole(&token, b"second");
    trial.wait(&host);
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());

    // And one that is in the kubeconfig itself.
    trial.change(2);
    trial.wait(&host);
    trial.server.faults(|faults| faults.token = Some("third".into()));
    trial.server.end_watch(End::Closed);
    trial.change(2);
    trial.kubeconfig(&trial.server.url, &json!({}), &json!({"token": "third"}));
    trial.wait(&host);
    trial.ends_well(host, 12, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_gives_tokens_is_asked_again_when_its_last_one_is_not_taken() {
    let mut trial = Trial::with(20).await;
    let token = trial.place.folder.path().join("token");
    write_whole(&token, b"first");
    trial.server.faults(|faults| faults.token = Some("first".into()));
    let user = given_by_a_program(&token, "");
    let host = trial.host_at(&trial.server.url, &json!({}), &user, &[]);
    trial.wait(&host);
    // The program says nothing of when it ends.
    write_whole(&token, b"second");
    trial.server.faults(|faults| faults.token = Some("second".into()));
    trial.server.end_watch(End::Closed);
    trial.change(1);
    trial.delete(10);
    trial.ends_well(host, 8, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_hangs_holds_up_nobody_and_what_it_gives_in_the_end_is_taken() {
    let mut trial = Trial::with(20).await;
    let folder = trial.place.folder.path().to_owned();
    let [token, hangs, begun] = ["token", "hangs", "begun"].map(|name| folder.join(name));
    write_whole(&token, b"first");
    trial.server.faults(|faults| faults.token = Some("first".into()));
    let hang = format!("touch {}; while [ -e {} ]; do sleep 0.1; done;", begun.display(), hangs.display());
    let host = trial.host_at(&trial.server.url, &json!({}), &given_by_a_program(&token, &hang), &[]);
    trial.wait(&host);

    write_whole(&hangs, b"");
    fs::remove_file(&begun).unwrap();
    // What is asked after that is answered.
    trial.server.refuse(&[StatusCode::UNAUTHORIZED]);
    poll("a program that hangs", || {
        trial.server.end_watch(End::Closed);
        begun.exists().then_some(())
    });
    trial.change(1);
    trial.delete(10);
    trial.wait(&host);

    write_whole(&token, b"second");
    trial.server.faults(|faults| faults.token = Some("second".into()));
    trial.server.count();
    trial.server.end_watch(End::Closed);
    trial.change(2);
    trial.delete(11);
    poll("a request with the token of before", || trial.server.count().last().map(drop));
    fs::remove_file(&hangs).unwrap();
    trial.ends_well(host, 12, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_fails_is_asked_again_until_it_does_not() {
    let trial = Trial::with(20).await;
    let folder = trial.place.folder.path().to_owned();
    let (token, fails) = (folder.join("token"), folder.join("fails"));
    write_whole(&token, b"first");
    let user = given_by_a_program(&token, &format!("if [ -e {0} ]; then echo >> {0}; exit 1; fi;", fails.display()));
    let host = trial.host_at(&trial.server.url, &json!({}), &user, &["--leader-elect", "--lease-duration", "3s"]);
    trial.wait(&host);

    write_whole(&fails, b"");
    let start = Instant::now();
    // What is asked after that is answered.
    trial.server.refuse(&[StatusCode::UNAUTHORIZED]);
    let asked = || fs::read(&fails).unwrap().len();
    poll("a third try", || (asked() >= 3).then_some(()));
    assert!(start.elapsed() > Duration::from_secs(8), "{:?}", start.elapsed());
    trial.ends_well(host, 2, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_as_a_service_account_is_done_with_the_token_of_the_day() {
    let mut trial = Trial::with(20).await;
    let rule = "{apiVersion: apps/v1, kinds: [ReplicaSet], verbs: [patch]}";
    trial.place.grant("probe", &format!("serviceAccount: team/worker\ngrants: [{rule}]\n"));
    trial.server.faults(|faults| faults.token = Some("first".into()));
    let user = |token: &str| json!({"token": token, "as": "somebody", "as-groups": ["some"]});
    let host = trial.host_at(&trial.server.url, &json!({}), &user("first"), &[]);
    trial.wait(&host);
    trial.kubeconfig(&trial.server.url, &json!({}), &user("second"));
    trial.server.faults(|faults| faults.token = Some("second".into()));
    trial.server.end_watch(End::Closed);
    trial.change(1);
    trial.wait(&host);

    let other = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "namespace": "default", "name": "object-2"});
    let patch = json!([{"merge-patch": [other, {"metadata": {"annotations": {"probe-counter": "1000"}}}]}]);
    let asks = asking("asks", &patch)["metadata"]["annotations"].take();
    trial.server.write("asks", &asks);
    host.line_with("default/object-2 - attempt 0 counter 1000");
    let speakers = trial.server.speakers();
    let patches: Vec<_> = speakers.iter().filter(|speaker| speaker.starts_with("PATCH")).collect();
    assert_eq!(patches, [r#"PATCH ["system:serviceaccount:team:worker"] []"#]);
    assert!(speakers.contains(r#"GET ["somebody"] ["some"]"#), "{speakers:?}");
    assert!(!host.messages().iter().any(|message| message.contains("reconcile failed")), "{:?}", host.messages());
    trial.ends_well(host, 6, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_another_authority_are_trusted_when_the_kubeconfig_names_it() {
    let mut trial = Trial::with(20).await;
    let authority = trial.place.folder.path().join("ca.crt");
    let front = Front::to(&trial.server.url, &authority).await;
    let url = format!("https://127.0.0.1:{}", front.port);
    let host = trial.host_at(&url, &json!({"certificate-authority": authority}), &json!({}), &[]);
    trial.wait(&host);

    front.rotate(&trial.place.folder.path().join("next.crt"));
    trial.change(1);
    trial.delete(10);
    host.log("invalid peer certificate");
    fs::rename(trial.place.folder.path().join("next.crt"), &authority).unwrap();
    trial.ends_well(host, 4, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_is_not_what_the_host_goes_by() {
    let mut trial = Trial::with(20).await;
    let folder = trial.place.folder.path();
    let [library, offset, token] = ["clock.so", "offset", "token"].map(|name| folder.join(name));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fast/faults/clock.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status().unwrap();
    assert!(built.success());
    write_whole(&offset, b"0");
    write_whole(&token, b"first");
    trial.server.faults(|faults| faults.token = Some("first".into()));
    let kubeconfig = trial.kubeconfig(&trial.server.url, &json!({}), &json!({"tokenFile": token}));
    let mut command = Host::command(&trial.place.plugins);
    command.arg("--kubeconfig").arg(kubeconfig).args(["--leader-elect", "--lease-duration", "3s"]);
    command.env("LD_PRELOAD", &library).env("CLOCK_OFFSET", &offset);
    let host = Host::spawn(command);
    trial.wait(&host);

    let years = |years: i64| (years * 365 * 24 * 3600).to_string();
    let renewed =
        |trial: &Trial| trial.server.lease("oarlock").unwrap()["spec"]["renewTime"].as_str().unwrap().to_owned();
    for (round, jump) in [years(10), years(-10)].into_iter().enumerate() {
        let before = renewed(&trial);
        write_whole(&offset, jump.as_bytes());
        poll("a lease that is renewed by the other clock", || (renewed(&trial)[..3] != before[..3]).then_some(()));
        trial.server.end_watch(End::Closed);
        trial.change(1);
        trial.delete(10 + round);
        trial.wait(&host);
    }
    // By that clock, the token is good for another twenty years.
    write_whole(&token, b"second");
    trial.server.faults(|faults| faults.token = Some("second".into()));
    trial.server.end_watch(End::Closed);
    trial.change(2);
    trial.wait(&host);
    assert_eq!(trial.server.lease("oarlock").unwrap()["spec"]["leaseTransitions"], 0, "it was held all the time");
    trial.ends_well(host, 10, 6);
}

/// A user whose token a program gives as it is in that file, after something else.
fn given_by_a_program(token: &Path, first: &str) -> Value {
    let head = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":""#;
    let script = format!("{first} printf '%s%s\"}}}}' '{head}' $(cat {})", token.display());
    let api_version = "client.authentication.k8s.io/v1";
    json!({"exec": {"apiVersion": api_version, "command": "sh", "args": ["-c", script], "interactiveMode": "Never"}})
}

/// TLS before a server.
struct Front {
    port: u16,
    acceptor: Arc<Mutex<TlsAcceptor>>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Front {
    /// With a certificate of an authority that is written to that file.
    async fn to(url: &str, authority: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Self {
            port: listener.local_addr().unwrap().port(),
            acceptor: Arc::new(Mutex::new(certified_by(authority))),
            connections: Arc::default(),
        };
        let (acceptor, connections) = (Arc::clone(&front.acceptor), Arc::clone(&front.connections));
        let upstream = url.trim_start_matches("http://").to_owned();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (acceptor, upstream) = (acceptor.lock().unwrap().clone(), upstream.clone());
                connections.lock().unwrap().spawn(async move {
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let mut server = TcpStream::connect(upstream).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        front
    }

    /// Ends all connections. New ones have a certificate of another authority.
    fn rotate(&self, authority: &Path) {
        *self.acceptor.lock().unwrap() = certified_by(authority);
        self.connections.lock().unwrap().abort_all();
    }
}

fn certified_by(authority: &Path) -> TlsAcceptor {
    let [ca_key, key] = [(); 2].map(|()| KeyPair::generate().unwrap());
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(authority, ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
    let certificate = certificate.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}
