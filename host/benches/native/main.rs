//! What the default plugin does, as a program of its own, as people write it: kube's typed `Controller`.

use std::convert::Infallible;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::runtime::Controller;
use kube::runtime::controller::Action;
use kube::runtime::watcher::Config;
use kube::{Api, Client, ResourceExt as _};

#[tokio::main]
async fn main() -> kube::Result<()> {
    let client = Client::try_default().await?;
    Controller::new(Api::<ReplicaSet>::all(client), Config::default())
        .run(reconcile, |_, _: &Infallible, _| Action::await_change(), Arc::new(()))
        .for_each(|_| std::future::ready(()))
        .await;
    Ok(())
}

async fn reconcile(replica_set: Arc<ReplicaSet>, _context: Arc<()>) -> Result<Action, Infallible> {
    let template = replica_set.spec.as_ref().and_then(|spec| spec.template.as_ref()?.spec.as_ref());
    let containers = template.map(|template| template.containers.iter().map(|container| &*container.name));
    let names: Vec<_> = containers.into_iter().flatten().collect();
    let namespace = replica_set.namespace().unwrap_or_default();
    println!("{namespace}/{}: {}", replica_set.name_any(), names.join(", "));
    Ok(Action::await_change())
}
