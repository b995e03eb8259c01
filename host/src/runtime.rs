//! Builds the parts in the order in which an object goes through them, runs them, and drains them at the end.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::action::apply::Applier;
use crate::admin::Admin;
use crate::api::{Collector, Origin};
use crate::checks::Checks;
use crate::cluster::Cluster;
use crate::config::{self, Config, Election};
use crate::dispatch::{Dispatch, Progress};
use crate::health::{InFlight, UnderWay};
use crate::leader::{ElectionOptions, Leader};
use crate::memory;
use crate::metrics::Metrics;
use crate::output::{Drained, Output};
use crate::plugin::{AotCache, BROKEN_GRACE, Engine, Loader, Reload};
use crate::progress::ProgressLine;
use crate::recording::Recorder;
use crate::shards::Shards;
use crate::source::manifests::Manifests;
use crate::source::{Source, Span};
use crate::supervisor::Supervisor;
use crate::tally::{Summary, Tally};
use crate::tasks::Tasks;
use crate::text;
use crate::watches;
use crate::worker::{Repeat, Workshop};

/// How long the last recordings may take to be written.
const RECORDING_TIME: Duration = Duration::from_secs(5);

/// Runs the host until `stop` is cancelled or, if it is to run once, until everything there is has been reconciled.
/// What plugins print is written to `stdout`. Calls in flight are finished before this returns.
pub async fn run(
    config: Config,
    stdout: impl Write + Send + 'static,
    line: &ProgressLine,
    stop: CancellationToken,
) -> anyhow::Result<Summary> {
    if config.once && !config.plugins.is_dir() {
        bail!("there is no plugin folder {} (--plugins)", config.plugins.display());
    }
    let started = Instant::now();
    let (metrics, tally) = (Arc::<Metrics>::default(), Arc::<Tally>::default());
    let tasks = Tasks::new(stop.clone());
    let (span, repeat) = if config.once { (Span::Once, Repeat::Never) } else { (Span::Forever, Repeat::AsAsked) };

    // An object's way into the queues ...
    let source = source(&config, span, (&metrics, &tally), &tasks, &stop).await?;
    let origin = Origin { started, source: source_text(&config.source, &source) };
    let election = election(&config.election, &source);
    let shards = Arc::new(election.as_ref().map_or_else(Shards::all, |(of, _)| Shards::none_of(of.shards)));
    let (dispatch, orders) = Dispatch::new(config.scope.clone(), Arc::clone(&shards));
    let dispatch = Arc::new(dispatch);
    let watches = watches::run(
        orders,
        source.clone(),
        span,
        Arc::clone(&dispatch),
        (Arc::clone(&metrics), Arc::clone(&tally)),
        tasks.clone(),
        stop.clone(),
    );
    tasks.spawn("watches", watches);

    // ... through the plugins, to what they ask for ...
    let (output, drained) = Output::start(stdout, stop.clone())?;
    let applier = Applier::new(
        source.clone(),
        (Arc::clone(&dispatch), Arc::clone(&shards)),
        output.clone(),
        Arc::clone(&metrics),
        config.dry_run,
    );
    let recorder = config.recorder.as_ref().map(Recorder::start).transpose()?.map(Arc::new);
    let (undo, undone) = mpsc::unbounded_channel();
    let workshop = Workshop::new(
        Arc::clone(&dispatch),
        (source, Arc::new(config.scope)),
        (applier, output, recorder.clone()),
        Arc::clone(&metrics),
        Arc::clone(&tally),
        (repeat, config.keep_idle),
        undo,
    );
    let (in_flight, waits) = (Arc::clone(&workshop.in_flight), Arc::clone(&workshop.waits));
    let journals = Arc::clone(&workshop.journals);
    let supervisor = Supervisor::new(workshop, tasks.clone(), stop.clone());
    let plugins_started = supervisor.started();

    // ... which come from their folder.
    let cache = config.cache.as_deref().map_or_else(AotCache::off, AotCache::in_folder);
    let loader = Loader::new(Engine::new()?, config.compiler, cache, config.limits);
    // Run once, a file is given no time to become whole.
    let grace = if config.once { Duration::ZERO } else { BROKEN_GRACE };
    let (sender, changes) = mpsc::channel(16);
    let reload = Reload::new(&config.plugins, config.timing, grace, loader, Arc::clone(&journals), (sender, undone))?;
    tasks.spawn("plugin folder", until(&stop, reload.run().map(Ok)));
    tasks.spawn("supervisor", supervisor.follow(changes));
    tasks.spawn("memory", until(&stop, memory::give_back().map(Ok)));

    // Of several replicas, this one has its part. What is held is held, and how the host is can be asked for, to the end of
    // the calls.
    let (last, leave) = (Tasks::new(stop.clone()), CancellationToken::new());
    let mut standing = None;
    if let Some((options, cluster)) = election {
        let (shards, dispatch) = (Arc::clone(&shards), Arc::clone(&dispatch));
        let replica = Leader::new(&options, &cluster, shards, dispatch, Arc::clone(&metrics));
        standing = Some(replica.standing());
        last.spawn("leases", replica.run(leave.clone()));
    }

    if let Some(addresses) = config.admin {
        let (dispatch, in_flight) = (Arc::clone(&dispatch), Arc::clone(&in_flight));
        let plugins = (Arc::clone(&plugins_started), Arc::clone(&waits));
        let checks = Checks::new(Arc::clone(&dispatch), Arc::clone(&in_flight), plugins, standing, stop.clone());
        let checks = Arc::new(checks);
        let collector = Collector { origin, checks: Arc::clone(&checks), dispatch, journals, in_flight, waits };
        let admin = Admin { metrics: Arc::clone(&metrics), collector };
        last.spawn("admin", until(&leave, admin.serve(&addresses).await?.map(Ok)));
        let present = Arc::clone(&checks);
        last.spawn("checks", until(&leave, async move { checks.run().await }.map(Ok)));
        last.spawn("presence", until(&leave, async move { present.watch_presence().await }.map(Ok)));
    }

    let summary = || {
        let Progress { objects, plugins, .. } = dispatch.progress();
        tally.summary(objects, plugins)
    };
    let worked_off = async {
        plugins_started.wait().await;
        shards.held().await;
        dispatch.settled().await;
    };
    let first_list_done = tokio::select! {
        () = stop.cancelled() => false,
        () = worked_off => true,
        () = line.show(&dispatch) => false,
    };
    if first_list_done && !config.once {
        tracing::info!("everything there was is reconciled: {}", summary());
        stop.cancelled().await;
    }
    stop.cancel();
    drain(tasks, (drained, recorder), &in_flight, config.drain_time).await?;
    leave.cancel();
    last.finish().await?;
    Ok(summary())
}

/// Waits for the end of the tasks and of all that was printed, or says what is not over after so much time; then for the
/// recordings.
async fn drain(
    tasks: Tasks,
    (printed, recorder): (Drained, Option<Arc<Recorder>>),
    in_flight: &InFlight,
    time: Duration,
) -> anyhow::Result<()> {
    let mut ended = None;
    let drained = async {
        ended = Some(tasks.finish().await);
        printed.wait().await;
    };
    if tokio::time::timeout(time, drained).await.is_err() {
        give_up(in_flight, ended.is_some(), time);
    }
    if let Some(recorder) = recorder {
        recorder.close(RECORDING_TIME).await;
    }
    ended.unwrap_or(Ok(()))
}

/// Says what is not over, though there was time.
fn give_up(in_flight: &InFlight, tasks_ended: bool, time: Duration) {
    let time = humantime::format_duration(time);
    let under_way = in_flight.all();
    if tasks_ended {
        tracing::warn!("given up: what plugins printed was not read by anybody in {time} (--drain-time)");
    } else if under_way.is_empty() {
        tracing::warn!("given up: no call is in flight, and the host has not ended its work in {time} (--drain-time)");
    }
    for UnderWay { plugin, target, what, .. } in under_way {
        let (kind, object) = (target.gvk.kind(), &target.key);
        tracing::warn!(plugin = &*plugin, kind, %object, "given up: {what} is not over after {time} (--drain-time)");
    }
}

/// Runs the future until it ends or `stop` is cancelled.
fn until(
    stop: &CancellationToken,
    future: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
    stop.clone().run_until_cancelled_owned(future).map(|ended| ended.unwrap_or(Ok(())))
}

/// The election to take part in, if there is one, and the cluster that it is held in.
fn election(election: &Election, source: &Source) -> Option<(ElectionOptions, Arc<Cluster>)> {
    let Source::Cluster(cluster) = source else { return None };
    let options = match election {
        Election::On(options) => options,
        Election::InPod(options) if cluster.is_around => options,
        Election::InPod(_) | Election::Off => return None,
    };
    Some((options.clone(), Arc::clone(cluster)))
}

/// Where the objects come from, for people.
fn source_text(from: &config::Source, source: &Source) -> String {
    match (from, source) {
        (config::Source::Manifests { path, .. }, _) => text::shortened(&format!("manifests in {}", path.display())),
        (_, Source::Cluster(cluster)) => text::shortened(&format!("the cluster at {}", cluster.url)),
        (_, Source::Manifests(_)) => "manifests".to_owned(),
    }
}

/// Finds the source.
async fn source(
    config: &Config,
    span: Span,
    (metrics, tally): (&Metrics, &Arc<Tally>),
    tasks: &Tasks,
    stop: &CancellationToken,
) -> anyhow::Result<Source> {
    Ok(match &config.source {
        config::Source::Cluster(options) => {
            Source::Cluster(Arc::new(Cluster::find(options.clone(), metrics.requests.clone()).await?))
        }
        config::Source::Manifests { path, output } => {
            let manifests = Arc::new(Manifests::new(output.clone()));
            let (followed, path, timing, tally) =
                (Arc::clone(&manifests), path.clone(), config.timing, Arc::clone(tally));
            let follow = async move { followed.follow(&path, timing, span, &tally).await };
            tasks.spawn("manifests", until(stop, follow));
            Source::Manifests(manifests)
        }
    })
}
