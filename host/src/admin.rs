//! Health and metrics over HTTP: `/livez`, `/readyz`, `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::SetOnce;

use crate::dispatch::Dispatch;
use crate::metrics::Metrics;

/// What the endpoints tell of.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Whether the source is listed.
    pub dispatch: Arc<Dispatch>,
    /// Set when the plugins that were there at the start are loaded, or refused.
    pub plugins_started: Arc<SetOnce<()>>,
    /// What `/metrics` serves.
    pub metrics: Arc<Metrics>,
}

impl Admin {
    /// Serves the endpoints at the first of the addresses that can be had. The port is open when this returns.
    pub async fn serve(
        self,
        addresses: &[SocketAddr],
    ) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + use<>> {
        let listener = TcpListener::bind(addresses).await;
        let listener = listener.with_context(|| format!("cannot listen on {addresses:?} (--admin)"))?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "serving /livez, /readyz and /metrics on http://{address}");
        let router = Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self);
        Ok(async move { axum::serve(listener, router).await.context("health and metrics") })
    }
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if !admin.plugins_started.initialized() {
        (StatusCode::SERVICE_UNAVAILABLE, "plugins: not loaded yet\n")
    } else if !admin.dispatch.progress().listed {
        (StatusCode::SERVICE_UNAVAILABLE, "source: not listed yet\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match admin.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
