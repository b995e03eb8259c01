//! A client that notes when something is heard.

use std::sync::Arc;
use std::time::Instant;

use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;

use super::Cluster;
use crate::health::Heard;

impl Cluster {
    /// A client that speaks for the host, and that notes each time at which it asks for something or something comes: kube's
    /// watcher asks again by itself, and passes no bookmarks on.
    pub fn listening_client(&self, heard: &Arc<Heard>) -> Client {
        listening(self.client(), Arc::clone(heard))
    }
}

fn listening(client: Client, heard: Arc<Heard>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request| {
        let (client, heard) = (client.clone(), Arc::clone(&heard));
        async move {
            heard.note(Instant::now());
            let response = client.send(request).await?;
            Ok::<_, kube::Error>(response.map(|body: Body| {
                body.map_frame(move |frame| {
                    heard.note(Instant::now());
                    frame
                })
            }))
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;
    use std::time::Duration;

    use axum::http::{Request, Response};
    use futures::AsyncBufReadExt as _;
    use futures::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn each_question_and_each_part_of_an_answer_is_heard() {
        let service = tower::service_fn(|_: Request<Body>| async {
            let parts = ["{}\n", "{}\n"].map(|part| Ok::<_, Infallible>(hyper::body::Frame::data(part.into())));
            let body = http_body_util::StreamBody::new(futures::stream::iter(parts));
            Ok::<_, Infallible>(Response::new(body))
        });
        let heard = Arc::<Heard>::default();
        let client = listening(Client::new(service, "default"), Arc::clone(&heard));
        let later = Instant::now() + Duration::from_hours(1);
        assert_eq!(heard.silence(later), None);
        let asked = client.request_stream(Request::new(Vec::new()));
        let mut lines = pin!(asked.await.unwrap().lines());
        let mut silence = heard.silence(later).unwrap();
        for _ in 0..2 {
            assert_eq!(lines.next().await.unwrap().unwrap(), "{}");
            let shorter = heard.silence(later).unwrap();
            assert!(shorter < silence);
            silence = shorter;
        }
    }
}
