//! The least that any controller has to do: it asks for all ReplicaSets and throws away what comes. With `pages`, in
//! pages of 500 from etcd; with `whole`, at once from the API server's watch cache. Then it prints how many bytes came.

use std::pin::pin;

use futures::AsyncBufReadExt as _;
use http::Request;
use kube::Client;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let from_cache = match std::env::args().nth(1).as_deref() {
        Some("pages") => false,
        Some("whole") => true,
        other => anyhow::bail!("expected `pages` or `whole`, found {other:?}"),
    };
    let (mut bytes, mut token) = (0, String::new());
    loop {
        let query = if from_cache { "resourceVersion=0".to_owned() } else { format!("limit=500{token}") };
        let page = fetch(&client, &query).await?;
        bytes += page.bytes;
        match page.token {
            Some(next) => token = format!("&continue={next}"),
            None => break,
        }
    }
    println!("{bytes} bytes");
    // What it takes of memory is looked at.
    std::future::pending().await
}

struct Page {
    bytes: usize,
    /// By which the next page is asked for.
    token: Option<String>,
}

async fn fetch(client: &Client, query: &str) -> anyhow::Result<Page> {
    let request = Request::get(format!("/apis/apps/v1/replicasets?{query}")).body(Vec::new())?;
    let mut body = pin!(client.request_stream(request).await?);
    let mut page = Page { bytes: 0, token: None };
    let mut head = Vec::new();
    let mut in_head = true;
    loop {
        let chunk = body.fill_buf().await?;
        let length = chunk.len();
        if length == 0 {
            return Ok(page);
        }
        // The list's own metadata comes before its objects.
        if in_head {
            head.extend_from_slice(chunk);
            let text = String::from_utf8_lossy(&head);
            if let Some((metadata, _)) = text.split_once(r#""items":"#) {
                in_head = false;
                page.token = metadata
                    .split_once(r#""continue":""#)
                    .and_then(|(_, token)| Some(token.split_once('"')?.0.to_owned()));
            }
        }
        page.bytes += length;
        body.consume_unpin(length);
    }
}
