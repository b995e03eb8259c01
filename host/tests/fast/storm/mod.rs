//! Everything at once: objects that change all the time, plugins that fail and are replaced, an API server that does not
//! keep up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::scripted::{End, Server};
use crate::support::host::{Finished, Host, Workplace};
use crate::support::{DEADLINE, plugins, write_whole};

const OBJECTS: usize = 200;
const OPERATIONS: u32 = 10_000;
/// How many times all is calm in between.
const ACTS: u32 = 4;

/// What objects ask of the plugin, each as often as it stands here.
const MODES: [&str; 20] = [
    "-",
    "-",
    "-",
    "-",
    "-",
    "-",
    "-",
    "-",
    "-",
    "-",
    "blink",
    "blink",
    "retry",
    "retry",
    "once-more",
    "once-more",
    "terminal",
    "trap-at-end",
    "trap-at-end",
    "requeue",
];

/// Three times the same plugin: one as it is, one that may be called for several objects at a time, and one whose file
/// comes and goes.
const PLUGINS: [&str; 3] = ["plain", "parallel", "fickle"];
const PARALLEL: usize = 1;
const FICKLE: usize = 2;

/// What the test has done, and so what plugins are to have seen in the end.
struct Storm {
    random: fastrand::Rng,
    place: Workplace,
    server: Server,
    /// The counters of the objects that there are.
    objects: BTreeMap<String, u32>,
    files: [PluginFile; 3],
    /// What has happened beside changes of objects.
    troubles: Vec<String>,
}

/// What is in the place of a plugin's file.
#[derive(Clone, Copy)]
struct PluginFile {
    /// The last good version.
    version: u32,
    /// The version that it came back with after it was gone.
    came_with: u32,
    is: Is,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    Good,
    Broken,
    Gone,
}

impl Storm {
    async fn begin(seed: u64) -> Self {
        let files = [0, 1, 2].map(|plugin| {
            // The first digit tells the plugins apart.
            let version = (plugin + 1) * 1000;
            PluginFile { version, came_with: version + 1, is: Is::Gone }
        });
        let mut storm = Self {
            random: fastrand::Rng::with_seed(seed),
            place: Workplace::new(),
            server: Server::start().await,
            objects: BTreeMap::new(),
            files,
            troubles: Vec::new(),
        };
        storm.grant(4);
        (0..PLUGINS.len()).for_each(|plugin| storm.replace(plugin));
        (0..OBJECTS / 2).for_each(|_| storm.change_an_object(0));
        storm
    }

    fn host(&self) -> Host {
        let kubeconfig = json!({
            "clusters": [{"name": "storm", "cluster": {"server": self.server.url}}],
            "users": [{"name": "storm", "user": {}}],
            "contexts": [{"name": "storm", "context": {"cluster": "storm", "user": "storm"}}],
            "current-context": "storm",
        });
        let path = self.place.folder.path().join("kubeconfig");
        fs::write(&path, kubeconfig.to_string()).unwrap();
        let mut command = Host::command(&self.place.plugins);
        command.arg("--kubeconfig").arg(path);
        // A machine that has other things to do is none of the failures that are meant.
        command.args(["--call-cpu", "30s", "--call-wall", "1m", "--debounce", "10ms"]);
        Host::spawn(command)
    }

    /// Creates, changes or deletes an object.
    fn change_an_object(&mut self, counter: u32) {
        let name = format!("object-{}", self.random.usize(..OBJECTS));
        if self.objects.contains_key(&name) && self.random.u8(..10) == 0 {
            self.server.delete(&name);
            self.objects.remove(&name);
        } else {
            let mode = self.random.choice(MODES).unwrap();
            self.server.write(&name, &json!({"probe": mode, "probe-counter": counter.to_string()}));
            self.objects.insert(name, counter);
        }
    }

    fn cause_trouble(&mut self) {
        let plugin = self.random.usize(..PLUGINS.len());
        let trouble = match self.random.u8(..14) {
            0..5 => {
                self.replace(plugin);
                format!("{} is replaced", PLUGINS[plugin])
            }
            5 if self.files[plugin].is != Is::Gone => {
                self.files[plugin].is = Is::Broken;
                write_whole(&self.file(plugin), b"\0asm and then nonsense");
                format!("{} is broken", PLUGINS[plugin])
            }
            6 | 7 if self.files[FICKLE].is != Is::Gone => {
                self.files[FICKLE].is = Is::Gone;
                fs::remove_file(self.file(FICKLE)).unwrap();
                "fickle is gone".to_owned()
            }
            6 | 7 => {
                self.replace(FICKLE);
                "fickle is back".to_owned()
            }
            8 => {
                let concurrency = self.random.usize(2..=8);
                self.grant(concurrency);
                format!("parallel has {concurrency} calls at a time")
            }
            9 | 10 => {
                self.server.compact();
                "history is compacted".to_owned()
            }
            11..13 => {
                let end = self.random.choice([End::Closed, End::Torn, End::Cut, End::Expired]).unwrap();
                self.server.end_watch(end);
                format!("watch is {end:?}")
            }
            _ => {
                const REFUSALS: [StatusCode; 3] =
                    [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
                let refusals: Vec<_> =
                    (0..self.random.usize(1..=2)).filter_map(|_| self.random.choice(REFUSALS)).collect();
                self.server.refuse(&refusals);
                // So that there is a request.
                self.server.end_watch(End::Closed);
                format!("refusing with {refusals:?}")
            }
        };
        self.troubles.push(trouble);
    }

    fn file(&self, plugin: usize) -> std::path::PathBuf {
        self.place.plugins.join(format!("{}.wasm", PLUGINS[plugin]))
    }

    fn replace(&mut self, plugin: usize) {
        let file = &mut self.files[plugin];
        file.version += 1;
        if file.is == Is::Gone {
            file.came_with = file.version;
        }
        file.is = Is::Good;
        let version = file.version;
        self.place.plugin(PLUGINS[plugin], &plugins::probe(version));
    }

    fn grant(&self, concurrency: usize) {
        let text = format!("concurrency: {concurrency}\n");
        write_whole(&self.place.plugins.join(format!("{}.yaml", PLUGINS[PARALLEL])), text.as_bytes());
    }

    /// No more trouble.
    fn calm(&mut self) {
        self.server.calm();
        for plugin in 0..PLUGINS.len() {
            if self.files[plugin].is != Is::Good {
                self.replace(plugin);
            }
        }
    }

    fn wait_until_all_is_seen(&self, host: &Host) {
        let start = Instant::now();
        loop {
            let missing = self.missing(&host.stdout());
            if missing.is_empty() {
                return;
            }
            if start.elapsed() > DEADLINE {
                let of_calls = |line: &String| line.starts_with("version-") || line.starts_with("reconcile failed");
                let log: Vec<_> = host.messages().into_iter().filter(|line| !of_calls(line)).collect();
                let (some, count) = (missing[..missing.len().min(20)].join("\n"), missing.len());
                panic!("{count} not seen:\n{some}\nlog:\n{}\nafter: {:?}", log.join("\n"), self.troubles);
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// What the last calls of each plugin should have told and have not.
    fn missing(&self, stdout: &[String]) -> Vec<String> {
        let mut last = BTreeMap::new();
        for call in stdout.iter().map(|line| Call::parse(line)) {
            last.insert((call.plugin, call.object), call);
        }
        let mut missing = Vec::new();
        for (plugin, file) in self.files.iter().enumerate() {
            for number in 0..OBJECTS {
                let object = format!("object-{number}");
                let call = last.get(&(plugin, &*object));
                let well = match self.objects.get(&object) {
                    Some(counter) => call.is_some_and(|call| {
                        call.version == file.version && call.state.is_some_and(|state| state.counter == *counter)
                    }),
                    // One that had never heard of it, or not since its file came back, does not hear of its end.
                    None => call.is_none_or(|call| call.state.is_none() || call.version < file.came_with),
                };
                if !well {
                    let (name, version, wanted) = (PLUGINS[plugin], file.version, self.objects.get(&object));
                    missing.push(format!("{name} {version}, {object}: {wanted:?} and not {call:?}"));
                }
            }
        }
        missing
    }
}

/// A call as the plugin tells of it.
#[derive(Clone, Copy, Debug)]
struct Call<'a> {
    plugin: usize,
    version: u32,
    object: &'a str,
    /// None: the object is gone.
    state: Option<State<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct State<'a> {
    mode: &'a str,
    attempt: u32,
    counter: u32,
}

impl<'a> Call<'a> {
    fn parse(line: &'a str) -> Self {
        let words: Vec<_> = line.split(' ').collect();
        let version = words[0].strip_prefix("version-").unwrap().parse().unwrap();
        let object = words[1].strip_prefix("default/").unwrap();
        let state = match &words[2..] {
            ["gone"] => None,
            [mode, "attempt", attempt, "counter", counter] => {
                Some(State { mode, attempt: attempt.parse().unwrap(), counter: counter.parse().unwrap() })
            }
            _ => panic!("{line}"),
        };
        Self { plugin: version as usize / 1000 - 1, version, object, state }
    }

    fn fails(&self) -> bool {
        self.state.is_some_and(|state| match state.mode {
            "retry" | "terminal" | "trap-at-end" => true,
            "once-more" => state.attempt < 3,
            _ => false,
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_changes_amid_reloads_failures_and_api_errors_end_with_everything_seen_and_nothing_twice_at_once()
{
    let seed = std::env::var("OARLOCK_STORM_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    eprintln!("OARLOCK_STORM_SEED={seed} for the same again, as far as time lets it be the same");
    let mut storm = Storm::begin(seed).await;
    let host = storm.host();
    for act in 0..ACTS {
        for operation in 1..=OPERATIONS / ACTS {
            storm.change_an_object(act * OPERATIONS / ACTS + operation);
            // None at the end of an act, so that some of its last changes come while others are worked on.
            if operation < OPERATIONS / ACTS - 300 && storm.random.u32(..200) == 0 {
                storm.cause_trouble();
            }
            if storm.random.u32(..20) == 0 {
                sleep(Duration::from_millis(storm.random.u64(..25)));
            }
        }
        storm.calm();
        storm.wait_until_all_is_seen(&host);
        if act == ACTS / 2 {
            // As if it was replaced by an older one.
            storm.server.stop_streaming_lists();
            storm.server.end_watch(End::Expired);
        }
    }
    let finished = host.stop();
    assert_eq!(storm.missing(&finished.stdout), [""; 0], "and that is how it stays");
    each_object_is_seen_as_it_goes_on_and_failures_are_counted(&finished);
    no_object_is_twice_at_once_in_a_call_of_one_plugin(&finished);
}

fn each_object_is_seen_as_it_goes_on_and_failures_are_counted(finished: &Finished) {
    struct Before {
        version: u32,
        counter: u32,
        failures: u32,
    }
    let mut before = BTreeMap::new();
    for (line, call) in finished.stdout.iter().map(|line| (line, Call::parse(line))) {
        let Before { version, counter, failures } =
            before.entry((call.plugin, call.object)).or_insert(Before { version: 0, counter: 0, failures: 0 });
        assert!(call.version >= *version, "a version after a newer one: {line}");
        if let Some(state) = call.state {
            assert!(state.counter >= *counter, "an older state after that of {counter}: {line}");
            let afresh = call.plugin == FICKLE && state.attempt == 0;
            assert!(state.attempt == *failures || afresh, "after {failures} failures: {line}");
            *counter = state.counter;
            *failures = state.attempt;
        }
        *version = call.version;
        *failures = if call.fails() { *failures + 1 } else { 0 };
    }
}

fn no_object_is_twice_at_once_in_a_call_of_one_plugin(finished: &Finished) {
    let mut begun = BTreeSet::new();
    let mut at_once = 0;
    for line in finished.stderr.iter().filter(|line| line.contains("version-")) {
        let line: Value = serde_json::from_str(line).unwrap();
        let (message, plugin) = (line["message"].as_str().unwrap(), line["plugin"].as_str().unwrap().to_owned());
        if let Some((_, object)) = message.split_once(" begins ") {
            assert!(begun.insert((plugin, object.to_owned())), "twice at once: {line}");
        } else if let Some((_, object)) = message.split_once(" ends ") {
            assert!(begun.remove(&(plugin, object.to_owned())), "it has begun: {line}");
        }
        at_once = at_once.max(begun.iter().filter(|(plugin, _)| plugin == PLUGINS[PARALLEL]).count());
    }
    assert_eq!(begun.len(), 0, "what has begun ends");
    assert!(at_once > 1, "the plugin that may be called for several objects at a time is");
}
