//! The host as a process.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{DEADLINE, plugins, poll, write_manifest, write_whole};

/// A folder of plugins and one of manifests for a host to run on, and a cache that all tests share.
pub(crate) struct Workplace {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) plugins: PathBuf,
    pub(crate) manifests: PathBuf,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [plugins, manifests] = ["plugins", "manifests"].map(|name| folder.path().join(name));
        std::fs::create_dir(&plugins).unwrap();
        std::fs::create_dir(&manifests).unwrap();
        Self { folder, plugins, manifests }
    }

    /// Adds or replaces a plugin at once.
    pub(crate) fn plugin(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.plugins.join(format!("{name}.wasm"));
        write_whole(&path, bytes);
        path
    }

    /// Adds or replaces the grant file of a plugin at once.
    pub(crate) fn grant(&self, name: &str, text: &str) {
        write_whole(&self.plugins.join(format!("{name}.yaml")), text.as_bytes());
    }

    /// Adds an example with its grant file.
    pub(crate) fn example(&self, name: &str) {
        self.grant(name, &plugins::example_file(name, &format!("{name}.yaml")));
        self.plugin(name, &plugins::example(name));
    }

    /// Adds or replaces a file of manifests at once.
    pub(crate) fn manifest(&self, file: &str, text: &str) {
        write_whole(&self.manifests.join(file), text.as_bytes());
    }

    /// An object as `--output output` has it now. None: there is no such file.
    pub(crate) fn written(&self, file: &str) -> Option<Value> {
        let text = std::fs::read_to_string(self.output().join(file)).ok()?;
        Some(serde_saphyr::from_str(&text).unwrap())
    }

    /// A folder for `--output`.
    pub(crate) fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    /// Starts the host on both folders, with `--output`.
    pub(crate) fn run_with_output(&self, more: &[&str]) -> Host {
        let output = self.output();
        let mut args = vec!["--output", output.to_str().unwrap()];
        args.extend(more);
        self.run(&args)
    }

    /// Adds or replaces an object.
    pub(crate) fn object(&self, object: &Value) {
        write_manifest(&self.manifests, object);
    }

    /// Starts the host on both folders.
    pub(crate) fn run(&self, more: &[&str]) -> Host {
        let mut args = vec!["--manifests".as_ref(), self.manifests.as_os_str()];
        args.extend(more.iter().map(OsStr::new));
        Host::start(&self.plugins, &args, &[])
    }

    /// Starts the host on an API server at that port of this machine.
    pub(crate) fn run_on(&self, port: u16, more: &[&str]) -> Host {
        let kubeconfig = json!({
            "clusters": [{"name": "test", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        });
        let path = self.folder.path().join("kubeconfig");
        write_whole(&path, kubeconfig.to_string().as_bytes());
        let mut args = vec!["--kubeconfig".as_ref(), path.as_os_str()];
        args.extend(more.iter().map(OsStr::new));
        Host::start(&self.plugins, &args, &[])
    }

    /// Runs the host once on both folders.
    pub(crate) fn run_once(&self, more: &[&str]) -> Finished {
        let mut args = vec!["--once"];
        args.extend(more);
        self.run(&args).finish()
    }
}

/// The host, running. It is killed when dropped.
pub(crate) struct Host {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// The host after its end.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

impl Host {
    /// Starts `oarlock run` on a plugin folder.
    pub(crate) fn start(plugins: &Path, args: &[&OsStr], env: &[(&str, &OsStr)]) -> Self {
        let mut command = Self::command(plugins);
        command.args(args).envs(env.iter().copied());
        Self::spawn(command)
    }

    /// The program that `$OARLOCK_TEST_HOST` names, or else the one just built.
    pub(crate) fn program() -> Command {
        let program = std::env::var_os("OARLOCK_TEST_HOST").unwrap_or_else(|| env!("CARGO_BIN_EXE_oarlock").into());
        let mut command = Command::new(program);
        command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
        command
    }

    /// `oarlock run` on a plugin folder.
    pub(crate) fn command(plugins: &Path) -> Command {
        let mut command = Self::program();
        command.arg("run").arg("--plugins").arg(plugins);
        command
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = Lines::read(child.stdout.take().unwrap());
        let stderr = Lines::read(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// Waits for a line on stdout that was not waited for before.
    pub(crate) fn line(&self, what: &str) -> String {
        self.stdout.wait(what, |line| line == what).unwrap_or_else(|| self.fail(&format!("no line `{what}`")))
    }

    /// Waits for such a line that contains this.
    pub(crate) fn line_with(&self, what: &str) -> String {
        self.stdout
            .wait(what, |line| line.contains(what))
            .unwrap_or_else(|| self.fail(&format!("no line with `{what}`")))
    }

    /// Waits for a line of the log, parsed, whose message contains this, that was not waited for before.
    pub(crate) fn log(&self, what: &str) -> Value {
        let line = self.stderr.wait(what, |line| message(line).contains(what));
        serde_json::from_str(&line.unwrap_or_else(|| self.fail(&format!("no `{what}` in the log")))).unwrap()
    }

    /// All lines on stdout up to now.
    pub(crate) fn stdout(&self) -> Vec<String> {
        self.stdout.all()
    }

    /// All messages of the log up to now.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.stderr.all().iter().map(|line| message(line)).collect()
    }

    /// The lines of the log up to now that contain this, parsed.
    pub(crate) fn logged(&self, what: &str) -> Vec<Value> {
        let lines = self.stderr.all();
        lines.iter().filter(|line| line.contains(what)).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until the plugins that were there are at work and what there was is reconciled.
    pub(crate) fn settled(&self) {
        self.log("everything there was is reconciled");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has had.
    pub(crate) fn peak_memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak.unwrap().parse::<u64>().unwrap() >> 10
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end.
    pub(crate) fn finish(mut self) -> Finished {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > DEADLINE * 2 {
                self.fail("it does not end");
            }
            thread::sleep(Duration::from_millis(5));
        };
        Finished { status, stdout: self.stdout.until_end(), stderr: self.stderr.until_end() }
    }

    /// Asks it to stop, and waits for the end.
    pub(crate) fn stop(self) -> Finished {
        self.signal("TERM");
        let finished = self.finish();
        assert_eq!(finished.status.code(), Some(0), "{finished}");
        finished
    }

    fn fail(&self, what: &str) -> ! {
        panic!("{what} in time; stdout:\n{}\nstderr:\n{}", self.stdout.all().join("\n"), self.stderr.all().join("\n"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It has ended already if the test has waited for that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    pub(crate) fn log(&self, what: &str) -> Value {
        let line = self.stderr.iter().find(|line| message(line).contains(what));
        serde_json::from_str(line.unwrap_or_else(|| panic!("no `{what}` in the log of {self}"))).unwrap()
    }

    /// All messages of the log.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.stderr.iter().map(|line| message(line)).collect()
    }

    pub(crate) fn sorted_stdout(&self) -> Vec<&str> {
        let mut lines: Vec<_> = self.stdout.iter().map(String::as_str).collect();
        lines.sort_unstable();
        lines
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; stdout:\n{}\nstderr:\n{}", self.status, self.stdout.join("\n"), self.stderr.join("\n"))
    }
}

fn message(line: &str) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(line) => line["message"].as_str().unwrap_or_default().to_owned(),
        Err(_) => line.to_owned(),
    }
}

/// The lines of a stream as they come.
struct Lines {
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    /// Which lines a test has waited for.
    seen: Vec<bool>,
    ended: bool,
}

impl Lines {
    fn read(stream: impl Read + Send + 'static) -> Self {
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let sink = Arc::clone(&state);
        thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                let Ok(line) = line else { break };
                let mut state = sink.0.lock().unwrap();
                state.lines.push(line);
                state.seen.push(false);
                sink.1.notify_all();
            }
            sink.0.lock().unwrap().ended = true;
            sink.1.notify_all();
        });
        Self { state }
    }

    fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let (mutex, changed) = &*self.state;
        let start = Instant::now();
        let mut at = 0;
        let mut state = mutex.lock().unwrap();
        loop {
            while at < state.lines.len() {
                if !state.seen[at] {
                    let line = state.lines[at].clone();
                    // Whoever reads the stream is not to wait meanwhile: calls wait for who reads what they print.
                    drop(state);
                    let is_wanted = wanted(&line);
                    state = mutex.lock().unwrap();
                    if is_wanted {
                        state.seen[at] = true;
                        return Some(line);
                    }
                }
                at += 1;
            }
            let left = DEADLINE.checked_sub(start.elapsed()).filter(|_| !state.ended)?;
            assert!(!what.is_empty());
            state = changed.wait_timeout(state, left).unwrap().0;
        }
    }

    fn all(&self) -> Vec<String> {
        self.state.0.lock().unwrap().lines.clone()
    }

    fn until_end(&self) -> Vec<String> {
        poll("end of the stream", || self.state.0.lock().unwrap().ended.then_some(()));
        self.all()
    }
}
