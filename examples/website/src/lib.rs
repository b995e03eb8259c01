//! Runs each `Website`: a Deployment, a Service unless `expose` is false, and an entry in the namespace `websites`.

use oarlock_sdk::{Description, Failure, ObjectRef, Outcome, Request, Watch, cluster, json, reconciler};
use serde::Deserialize;

#[derive(Deserialize)]
struct Spec {
    image: String,
    replicas: u32,
    port: Option<u16>,
    expose: Option<bool>,
}

fn description() -> Description {
    let websites = Watch::all("example.com/v1", "Website");
    Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), vec![websites])
        .owns(Watch::all("apps/v1", "Deployment"))
        .owns(Watch::all("v1", "Service"))
        .finalizer("example.com/website")
}

fn reconcile(request: &Request) -> Result<Outcome, Failure> {
    let Some(website) = &request.object else { return Ok(Outcome::done()) };
    let ObjectRef { api_version, kind, namespace: Some(namespace), name } = &request.target else {
        return Err(Failure::terminal("a Website has a namespace"));
    };
    // No owner reference reaches into another namespace, so the entry needs a finalizer.
    let entry = format!("{namespace}.{name}");
    if request.deleting {
        let entry = ObjectRef::new("v1", "ConfigMap", entry).in_namespace("websites");
        return Ok(Outcome::done().delete(entry).event("Cleaned", "the entry in websites is removed"));
    }

    let Spec { image, replicas, port, expose } = website.at("/spec")?;
    let port = port.unwrap_or(80);
    let labels = json!({"website": name});
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [
                {"name": "web", "image": image, "ports": [{"containerPort": port, "protocol": "TCP"}]},
            ]},
        }},
    });
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels},
        "spec": {"selector": labels, "ports": [{"port": port, "targetPort": port, "protocol": "TCP"}]},
    });

    let running = cluster::get(&ObjectRef::new("apps/v1", "Deployment", name).in_namespace(namespace))?;
    let ready: Option<u32> = running.map_or(Ok(None), |deployment| deployment.at("/status/readyReplicas"))?;
    let mut status = json!({"readyReplicas": ready.unwrap_or(0)});
    let mut children = vec![deployment];
    if expose.unwrap_or(true) {
        status["url"] = json!(format!("http://{name}.{namespace}.svc:{port}"));
        children.push(service);
    }
    let metadata = json!({"namespace": namespace, "name": name});
    let entry = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": "websites", "name": entry},
        "data": {"image": image},
    });
    Ok(Outcome::done()
        .children(children)
        .apply(&entry)
        .apply_status(&json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "status": status})))
}

reconciler!(reconcile, description = description());

#[cfg(test)]
mod tests;
