//! Starts the watches that are wanted, and stops those that are not any more.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::dispatch::{Dispatch, Order};
use crate::metrics::Metrics;
use crate::source::{Source, Span, Update};
use crate::tally::Tally;
use crate::tasks::Tasks;

/// Runs a watch for each order, until it is not wanted any more or the host stops.
pub async fn run(
    mut orders: mpsc::UnboundedReceiver<Order>,
    source: Source,
    span: Span,
    dispatch: Arc<Dispatch>,
    (metrics, tally): (Arc<Metrics>, Arc<Tally>),
    tasks: Tasks,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    while let Some(Some(order)) = stop.run_until_cancelled(orders.recv()).await {
        let (source, dispatch, stop) = (source.clone(), Arc::clone(&dispatch), stop.clone());
        let (metrics, tally) = (Arc::clone(&metrics), Arc::clone(&tally));
        tasks.spawn(format!("watch of {}", order.selection), async move {
            tracing::debug!("watching {}", order.selection);
            let deliver = |update| {
                if span == Span::Once && matches!(update, Update::NotServed | Update::Refused(_)) {
                    tally.count_refused_watch();
                }
                if matches!(update, Update::Broken) {
                    metrics.watch_restart(&order.selection.gvk);
                }
                dispatch.deliver(&order, update);
            };
            let watch = Box::pin(source.watch(&order.selection, span, &order.heard, deliver));
            let watch = order.stop.run_until_cancelled(watch);
            match stop.run_until_cancelled(watch).await {
                Some(Some(())) => order.heard.end(),
                Some(None) => tracing::debug!("not watching {} any more", order.selection),
                None => {}
            }
            Ok(())
        });
    }
    Ok(())
}
