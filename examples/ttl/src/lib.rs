//! Deletes each ConfigMap labelled `example.com/ttl` when it is as old as the label says: `30s`, `10m`, `2h`.

use std::time::SystemTime;

use humantime::{parse_duration, parse_rfc3339};
use oarlock_sdk::{Description, Failure, Outcome, Request, Watch, reconciler};

fn description() -> Description {
    let labelled = Watch::all("v1", "ConfigMap").labels("example.com/ttl");
    Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), vec![labelled])
}

fn reconcile(request: &Request) -> Result<Outcome, Failure> {
    let Some(object) = request.object.as_ref().filter(|_| !request.deleting) else { return Ok(Outcome::done()) };
    let Some(label) = object.at::<Option<&str>>("/metadata/labels/example.com~1ttl")? else {
        return Ok(Outcome::done());
    };
    let ttl = match parse_duration(label) {
        Ok(ttl) => ttl,
        Err(error) => return Ok(Outcome::done().warning("InvalidTTL", format!("example.com/ttl is {label}: {error}"))),
    };
    let created = parse_rfc3339(object.at("/metadata/creationTimestamp")?)?;
    // A creation in the future is a clock that differs: its age is none.
    let age = SystemTime::now().duration_since(created).unwrap_or_default();
    if let Some(rest) = ttl.checked_sub(age).filter(|rest| !rest.is_zero()) {
        return Ok(Outcome::requeue_after(rest));
    }
    let uid: &str = object.at("/metadata/uid")?;
    Ok(Outcome::done().delete_with_uid(request.target.clone(), uid))
}

reconciler!(reconcile, description = description());

#[cfg(test)]
mod tests;
