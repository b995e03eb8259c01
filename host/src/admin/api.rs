//! `/api/v1`: how it stands with the host, as JSON.

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Admin;
use crate::api::Problem;
use crate::text;

/// How many objects of each sort are told of a queue if nothing else is asked for, and at most.
const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

pub(super) async fn status(State(admin): State<Admin>) -> Response {
    json(StatusCode::OK, &admin.collector.status())
}

pub(super) async fn plugins(State(admin): State<Admin>) -> Response {
    json(StatusCode::OK, &admin.collector.plugins())
}

pub(super) async fn plugin(State(admin): State<Admin>, Path(name): Path<String>) -> Response {
    match admin.collector.plugin(&name) {
        Some(plugin) => json(StatusCode::OK, &plugin),
        None => no_plugin(&name),
    }
}

pub(super) async fn queues(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    queues_of(&admin, None, query.as_deref())
}

pub(super) async fn queue(State(admin): State<Admin>, Path(name): Path<String>, RawQuery(query): RawQuery) -> Response {
    queues_of(&admin, Some(&name), query.as_deref())
}

/// Where nothing is served.
pub(super) async fn nothing() -> Response {
    let known = "/, /livez, /readyz, /metrics, /api/v1/status, /api/v1/plugins, /api/v1/plugins/NAME, \
                 /api/v1/plugins/NAME/queue, /api/v1/queue";
    problem(StatusCode::NOT_FOUND, format!("there is nothing here; there are {known}"))
}

fn queues_of(admin: &Admin, name: Option<&str>, query: Option<&str>) -> Response {
    let limit = match query.filter(|query| !query.is_empty()) {
        None => LIMIT,
        Some(query) => match query.strip_prefix("limit=").and_then(|limit| limit.parse().ok()) {
            Some(limit) if limit <= MAX_LIMIT => limit,
            _ => {
                let wrong = format!("expected nothing but limit=N after `?`, with N at most {MAX_LIMIT}");
                return problem(StatusCode::BAD_REQUEST, wrong);
            }
        },
    };
    match admin.collector.queues(name, limit) {
        Some(queues) => json(StatusCode::OK, &queues),
        None => no_plugin(name.unwrap_or_default()),
    }
}

fn no_plugin(name: &str) -> Response {
    let name = text::shortened(name);
    problem(StatusCode::NOT_FOUND, format!("there is no plugin {name}; `oarlock plugins` and /api/v1/plugins name all"))
}

fn problem(status: StatusCode, error: String) -> Response {
    json(status, &Problem { error })
}

fn json(status: StatusCode, answer: &impl Serialize) -> Response {
    match serde_json::to_string(answer) {
        Ok(mut text) => {
            text.push('\n');
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
                (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            ];
            (status, headers, text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
