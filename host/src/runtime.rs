//! Builds the parts in the order in which an object goes through them, runs them, and drains them at the end.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::config::{Config, Source};
use crate::dispatch::{Dispatch, Progress};
use crate::metrics::Metrics;
use crate::object::Kind;
use crate::output::Output;
use crate::plugin::{AotCache, BROKEN_GRACE, Engine, Loader, Reload};
use crate::progress::ProgressLine;
use crate::source::Span;
use crate::source::cluster::Cluster;
use crate::source::manifests::Manifests;
use crate::supervisor::Supervisor;
use crate::tally::{Summary, Tally};
use crate::tasks::Tasks;
use crate::worker::{Repeat, Workshop};

/// How long what plugins printed may take to be read, after the last call.
const DRAIN_TIME: Duration = Duration::from_secs(5);

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
    let (dispatch, metrics, tally) = (Arc::<Dispatch>::default(), Arc::<Metrics>::default(), Arc::<Tally>::default());
    let kind = Kind::replica_set();
    let tasks = Tasks::new(stop.clone());

    // An object's way into the queues ...
    let source = source(&config, kind.clone(), Arc::clone(&dispatch), Arc::clone(&tally)).await?;
    tasks.spawn("source", until(&stop, source));

    // ... through the plugins ...
    let (output, drained) = Output::start(stdout, stop.clone())?;
    let repeat = if config.once { Repeat::Never } else { Repeat::AsAsked };
    let workshop = Workshop::new(Arc::clone(&dispatch), kind, output, Arc::clone(&metrics), Arc::clone(&tally), repeat);
    let supervisor = Supervisor::new(workshop, tasks.clone(), stop.clone());
    let plugins_started = supervisor.started();

    // ... which come from their folder.
    let cache = config.cache.as_deref().map_or_else(AotCache::off, AotCache::in_folder);
    let loader = Loader::new(Engine::new()?, cache, config.limits);
    // Run once, a file is given no time to become whole.
    let grace = if config.once { Duration::ZERO } else { BROKEN_GRACE };
    let (sender, changes) = mpsc::channel(16);
    let reload = Reload::new(&config.plugins, config.timing, grace, loader, sender)?;
    tasks.spawn("plugin folder", until(&stop, reload.run().map(Ok)));
    tasks.spawn("supervisor", supervisor.follow(changes));

    if let Some(addresses) = config.admin {
        let admin = Admin {
            dispatch: Arc::clone(&dispatch),
            plugins_started: Arc::clone(&plugins_started),
            metrics: Arc::clone(&metrics),
        };
        tasks.spawn("admin", until(&stop, admin.serve(&addresses).await?));
    }

    let summary = || {
        let Progress { objects, plugins, .. } = dispatch.progress();
        tally.summary(objects, plugins)
    };
    let worked_off = async {
        plugins_started.wait().await;
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
    let drained = async {
        let ended = tasks.finish().await;
        drained.wait().await;
        ended
    };
    // A call takes no longer than it may; what takes longer is somebody who does not read what plugins print.
    if let Ok(ended) = tokio::time::timeout(config.limits.wall + DRAIN_TIME, drained).await {
        ended?;
    } else {
        tracing::warn!("what plugins printed is not read by anybody, and some of it is lost");
    }
    Ok(summary())
}

/// Runs the future until it ends or `stop` is cancelled.
fn until(
    stop: &CancellationToken,
    future: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
    stop.clone().run_until_cancelled_owned(future).map(|ended| ended.unwrap_or(Ok(())))
}

/// Finds the source, and returns what brings its objects into the cache and the queues.
async fn source(
    config: &Config,
    kind: Kind,
    dispatch: Arc<Dispatch>,
    tally: Arc<Tally>,
) -> anyhow::Result<BoxFuture<'static, anyhow::Result<()>>> {
    let selection = config.selection.clone();
    let span = if config.once { Span::Once } else { Span::Forever };
    Ok(match &config.source {
        Source::Cluster(options) => {
            let cluster = Cluster::find(options.clone(), kind, selection).await?;
            Box::pin(async move { cluster.follow(span, |event| dispatch.deliver(event)).await })
        }
        Source::Manifests(path) => {
            let manifests = Manifests::new(path, kind, selection, config.timing)?;
            Box::pin(manifests.follow(span, tally, move |event| dispatch.deliver(event)).map(Ok))
        }
    })
}
