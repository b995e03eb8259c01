//! Health, metrics and how it stands with the host over HTTP: `/livez`, `/readyz`, `/metrics`, `/api/v1`, and at `/` a page
//! for people. There is nothing to be changed by it.

mod api;
mod page;
mod serve;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::api::Collector;
use crate::checks::Report;
use crate::metrics::{Gauges, Metrics};

/// What the endpoints tell of.
#[derive(Clone)]
pub struct Admin {
    /// What `/metrics` serves.
    pub metrics: Arc<Metrics>,
    /// What all else tells of.
    pub collector: Collector,
}

impl Admin {
    /// Serves the endpoints at the first of the addresses that can be had. The port is open when this returns.
    pub async fn serve(self, addresses: &[SocketAddr]) -> anyhow::Result<impl Future<Output = ()> + Send + use<>> {
        let listener = TcpListener::bind(addresses).await;
        let listener = listener.with_context(|| format!("cannot listen on {addresses:?} (--admin)"))?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "serving /livez, /readyz, /metrics, /api/v1 and a status page on http://{address}");
        let router = Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/", get(page::index))
            .route("/page/page.js", get(page::script))
            .route("/page/style.css", get(page::style))
            .route("/page/icon.svg", get(page::icon))
            .route("/api/v1/status", get(api::status))
            .route("/api/v1/plugins", get(api::plugins))
            .route("/api/v1/plugins/{name}", get(api::plugin))
            .route("/api/v1/plugins/{name}/queue", get(api::queue))
            .route("/api/v1/queue", get(api::queues))
            .fallback(api::nothing)
            .with_state(self);
        Ok(serve::serve(listener, router))
    }

    fn gauges(&self, now: Instant) -> Gauges {
        let under_way =
            self.collector.in_flight.all().into_iter().map(|does| (Arc::clone(&does.plugin), does.age(now)));
        Gauges {
            plugins: self.collector.dispatch.plugin_gauges(now),
            watches: self.collector.dispatch.watch_gauges(),
            under_way: under_way.collect(),
        }
    }
}

async fn livez(State(admin): State<Admin>) -> (StatusCode, String) {
    answer(&admin.collector.checks.alive(Instant::now()))
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, String) {
    answer(&admin.collector.checks.ready())
}

fn answer(report: &Report) -> (StatusCode, String) {
    let status = if report.is_good() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, report.to_string())
}

async fn metrics(State(admin): State<Admin>) -> Response {
    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    match admin.metrics.encode(admin.gauges(Instant::now())) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
