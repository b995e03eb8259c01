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
        let (client, heard) = (self.client(), Arc::clone(heard));
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
        Client::new(service, self.default_namespace())
    }
}
