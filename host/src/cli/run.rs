//! `oarlock run`.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::default_cache;
use super::parse::{
    Listen, api_timeout, bytes, duration, existing_path, lease_name, listen_addresses, number, whole_seconds,
};
use crate::cluster::ClusterOptions;
use crate::config::{Config, Election, Source};
use crate::folder::Timing;
use crate::leader::ElectionOptions;
use crate::output::Fit;
use crate::plugin::{Compiler, Limits};
use crate::progress::ProgressLine;
use crate::recording::{RecorderOptions, Which};
use crate::runtime;
use crate::selector::{LabelSelector, Scope};
use crate::telemetry::{self, LogFormat};
use crate::text;

/// Run the plugins of a folder on the objects of a cluster, or of a folder of manifests.
///
/// What plugins print goes to stdout, the host's log to stderr. Exit codes: 0 after SIGTERM or ctrl-C, or if all was
/// well; 1 if it cannot run or, with --once, if anything failed; 2 for wrong usage.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// YAML file with more of these options, such as `call-cpu: 1s`; each is also read from the environment, such as
    /// `OARLOCK_CALL_CPU=1s`, which counts before the file, and the command line before both.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Folder with the plugins, a .wasm file each; followed live.
    #[arg(long, value_name = "DIR")]
    plugins: PathBuf,

    /// Write down in this folder what calls were given and what came of them, for `oarlock replay`. Values of Secrets
    /// are left out.
    #[arg(long, value_name = "DIR", help_heading = "Recording")]
    record: Option<PathBuf>,

    /// Which calls are recorded: of each object the last one that failed, or all.
    #[arg(long, value_name = "WHICH", default_value = "failed", help_heading = "Recording")]
    record_calls: Which,

    #[command(flatten)]
    host: HostArgs,
}

/// The options of a host, wherever its plugins come from.
#[derive(Debug, clap::Args)]
pub(super) struct HostArgs {
    /// Take the objects from this file or folder of YAML or JSON manifests, followed live, instead of a cluster.
    #[arg(long, value_name = "PATH", value_parser = existing_path, conflicts_with_all = ["kubeconfig", "context"], help_heading = "Objects")]
    pub(super) manifests: Option<PathBuf>,

    /// Kubeconfig file. Without it: $KUBECONFIG, ~/.kube/config, or the service account of the pod.
    #[arg(long, value_name = "FILE", help_heading = "Objects")]
    kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig.
    #[arg(long, value_name = "NAME", help_heading = "Objects")]
    context: Option<String>,

    /// How long the API server may be silent until the connection is given up; a watch is begun anew after it.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        value_parser = api_timeout,
        conflicts_with = "manifests",
        help_heading = "Objects"
    )]
    api_timeout: Duration,

    /// Only objects of this namespace. Without it: all namespaces.
    #[arg(short, long, value_name = "NAME", help_heading = "Objects")]
    namespace: Option<String>,

    /// Only objects whose labels match: `app=web,tier in (a,b),!canary`.
    #[arg(
        short = 'l',
        long,
        value_name = "SELECTOR",
        default_value = "",
        hide_default_value = true,
        help_heading = "Objects"
    )]
    selector: LabelSelector,

    /// Reconcile everything there is once, then exit: 0, or 1 if anything failed.
    #[arg(long)]
    pub(super) once: bool,

    /// Carry out nothing of what plugins ask for; print, as a diff, what it would change.
    #[arg(long)]
    pub(super) dry_run: bool,

    /// With --manifests: write each object that a plugin has changed to a file in this folder.
    #[arg(long, value_name = "DIR", requires = "manifests", help_heading = "Objects")]
    output: Option<PathBuf>,

    /// Have one replica at a time reconcile an object. Without it: in a pod, yes; elsewhere, and
    /// with --once or --dry-run, no.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        conflicts_with_all = ["once", "manifests"],
        help_heading = "Replicas"
    )]
    leader_elect: Option<bool>,

    /// Split the objects into so many shards, each of which one replica at a time reconciles.
    #[arg(
        long,
        value_name = "N",
        default_value = "1",
        value_parser = number(1..=256),
        conflicts_with_all = ["once", "manifests"],
        help_heading = "Replicas"
    )]
    shards: u16,

    /// Name of the leases that replicas agree by; hosts that run other plugins take another one.
    #[arg(long, value_name = "NAME", default_value = "oarlock", value_parser = lease_name, help_heading = "Replicas")]
    lease_name: String,

    /// Namespace of the leases. Without it: that of the pod, or of the kubeconfig's context.
    #[arg(long, value_name = "NAME", help_heading = "Replicas")]
    lease_namespace: Option<String>,

    /// How long objects may be without a replica after one has died, in whole seconds.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = whole_seconds, help_heading = "Replicas")]
    lease_duration: Duration,

    /// Processor time that a call may take.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration, help_heading = "Limits")]
    call_cpu: Duration,

    /// Time that a call may take in all.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, help_heading = "Limits")]
    call_wall: Duration,

    /// Memory that a plugin may use.
    #[arg(long, value_name = "BYTES", default_value = "64Mi", value_parser = bytes, help_heading = "Limits")]
    memory: usize,

    /// How long an instance that is not called keeps its memory.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration, help_heading = "Limits")]
    keep_idle: Duration,

    /// How long a folder must be at rest before what has changed in it is read.
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration, help_heading = "Reload")]
    debounce: Duration,

    /// How often to look for changes that the file system did not tell of; 0s for never.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, help_heading = "Reload")]
    poll_interval: Duration,

    /// Folder for compiled plugins, or `off`. Without it: oarlock in the user's cache folder.
    #[arg(long, value_name = "DIR|off", help_heading = "Reload")]
    cache_dir: Option<PathBuf>,

    /// How much there may be in the folder of recordings; the oldest are removed.
    #[arg(long, value_name = "BYTES", default_value = "64Mi", value_parser = bytes, help_heading = "Recording")]
    record_size: usize,

    /// Serve a status page, /api/v1, /metrics, /livez and /readyz here: `127.0.0.1:8080`, or `:8080` for all addresses.
    #[arg(long, value_name = "ADDRESS", value_parser = listen_addresses)]
    admin: Option<Listen>,

    /// Time that calls in flight have to finish after SIGTERM or ctrl-C; what is not over then is given up.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = duration)]
    drain_time: Duration,

    /// Form of the log.
    #[arg(long, value_name = "FORMAT", default_value = "auto", help_heading = "Log")]
    log_format: LogFormat,

    /// What to log: a level, or a list like `warn,oarlock=debug`.
    #[arg(long, value_name = "FILTER", default_value = telemetry::DEFAULT_FILTER, help_heading = "Log")]
    log: String,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let recorded = self.record.map(|folder| (folder, self.record_calls));
        self.host.run(self.plugins, recorded, async |_: &CancellationToken| Ok(()))
    }

    /// What they say, checked against each other.
    pub(super) fn config(self) -> anyhow::Result<Config> {
        self.host.config(self.plugins, self.record.map(|folder| (folder, self.record_calls)))
    }
}

impl HostArgs {
    /// Whether nothing is said of where the objects come from.
    pub(super) fn is_without_source(&self) -> bool {
        self.manifests.is_none() && self.kubeconfig.is_none() && self.context.is_none()
    }

    /// Runs a host on a plugin folder to its end. What comes `before` has the folder made ready, and is given a token that
    /// is cancelled when the host is to stop.
    pub(super) fn run(
        self,
        plugins: PathBuf,
        recorded: Option<(PathBuf, Which)>,
        before: impl AsyncFnOnce(&CancellationToken) -> anyhow::Result<()>,
    ) -> ExitCode {
        let line = ProgressLine::new();
        let started = telemetry::start(self.log_format, &self.log, &line);
        let (_log, config) = match started.and_then(|log| Ok((log, self.config(plugins, recorded)?))) {
            Ok(started) => started,
            Err(error) => {
                eprintln!("error: {error:#}");
                return ExitCode::from(2);
            }
        };
        match run(config, &line, before) {
            Ok(code) => code,
            Err(error) => {
                tracing::error!("{error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn config(self, plugins: PathBuf, recorded: Option<(PathBuf, Which)>) -> anyhow::Result<Config> {
        let cache = match self.cache_dir {
            Some(path) if path == Path::new("off") => None,
            Some(path) => Some(path),
            None => default_cache(),
        };
        if let Some(cache) = &cache
            && std::path::absolute(cache)?.starts_with(std::path::absolute(&plugins)?)
        {
            bail!("--cache-dir {} is in the plugin folder; choose another, or off", cache.display());
        }
        if let (Some(output), Some(manifests)) = (&self.output, &self.manifests)
            && std::path::absolute(output)?.starts_with(std::path::absolute(manifests)?)
        {
            bail!("--output {} is in the folder of the manifests; choose another", output.display());
        }
        if let Some((folder, _)) = &recorded {
            for (other, what) in
                [(Some(&plugins), "plugin folder"), (self.manifests.as_ref(), "folder of the manifests")]
            {
                if let Some(other) = other
                    && std::path::absolute(folder)?.starts_with(std::path::absolute(other)?)
                {
                    bail!("the folder for recordings, {}, is in the {what}; choose another", folder.display());
                }
            }
        }
        let election = ElectionOptions {
            name: self.lease_name,
            namespace: self.lease_namespace,
            duration: self.lease_duration,
            shards: self.shards.into(),
        };
        let election = match self.leader_elect {
            _ if self.once || self.dry_run || self.manifests.is_some() => Election::Off,
            Some(false) if self.shards > 1 => bail!("--shards {}: replicas need --leader-elect to agree", self.shards),
            Some(false) => Election::Off,
            None if self.shards == 1 => Election::InPod(election),
            Some(true) | None => Election::On(election),
        };
        Ok(Config {
            source: match self.manifests {
                Some(path) => Source::Manifests { path, output: self.output },
                None => Source::Cluster(ClusterOptions {
                    kubeconfig: self.kubeconfig,
                    context: self.context,
                    timeout: self.api_timeout,
                }),
            },
            scope: Scope { namespace: self.namespace.map(Into::into), labels: self.selector },
            plugins,
            compiler: Compiler::Child,
            limits: Limits { cpu: self.call_cpu, wall: self.call_wall, memory: self.memory, ..Limits::default() },
            keep_idle: self.keep_idle,
            timing: Timing { debounce: self.debounce, poll: self.poll_interval },
            cache,
            drain_time: self.drain_time,
            once: self.once,
            dry_run: self.dry_run,
            recorder: recorded.map(|(folder, which)| RecorderOptions { folder, which, size: self.record_size }),
            election,
            admin: self.admin.map(|Listen(addresses)| addresses),
        })
    }
}

/// Runs the host to its end.
fn run(
    config: Config,
    line: &ProgressLine,
    before: impl AsyncFnOnce(&CancellationToken) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    allow_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("async runtime")?;
    let once = config.once;
    let summary = runtime.block_on(async {
        let stop = CancellationToken::new();
        let stopped = stop_on_signal(stop.clone())?;
        before(&stop).await?;
        let stdout: Box<dyn Write + Send> = if io::stdout().is_terminal() {
            // A terminal would do as it is told by what plugins print.
            Box::new(Fit::new(buffered(line.beside(io::stdout())), text::lines))
        } else {
            // A reader that stalls must not hold up the log as well.
            Box::new(buffered(io::stdout()))
        };
        let summary = runtime::run(config, stdout, line, stop).await?;
        anyhow::Ok((summary, stopped.is_cancelled()))
    });
    // What still runs has been given up: nothing of it may hold up the end.
    runtime.shutdown_background();
    let (summary, interrupted) = summary?;
    if interrupted {
        tracing::info!("stopped: {summary}");
        return Ok(ExitCode::SUCCESS);
    }
    tracing::info!("{summary}");
    Ok(if once && summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Has as many files open as the process may have: the compiled code of each plugin is one, and another while it is
/// mapped. The lower limit that most systems begin with is for programs that use select(2).
fn allow_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where this fails, there are as many as there were.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

fn buffered<W: Write>(to: W) -> BufWriter<W> {
    BufWriter::with_capacity(64 << 10, to)
}

/// Cancels `stop` at the first SIGTERM or ctrl-C, and ends the process at the second. Returns a token that tells whether
/// there was a first.
fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let signalled = CancellationToken::new();
    let told = signalled.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => 15,
                _ = interrupt.recv() => 2,
            }
        };
        next().await;
        told.cancel();
        stop.cancel();
        tracing::info!("stopping: calls in flight are finished; a second signal ends at once");
        let number = next().await;
        std::process::exit(128 + number);
    });
    Ok(signalled)
}
