//! Actions on the objects of a cluster.

use std::sync::Arc;
use std::time::Duration;

use either::Either;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::Status;
use serde_json::Value;

use super::guard::{is_namespace, is_secret};
use super::plan::{Step, finalizers_patch};
use crate::cluster::{Cluster, Trouble, explain, rest};
use crate::dispatch::Written;
use crate::grant::ServiceAccount;
use crate::object::{Gvk, Kind, Object, ObjectKey, ObjectRef, Part, RawObject};
use crate::text;

/// Who changes something, and how.
#[derive(Clone, Copy)]
pub(super) struct Author<'a> {
    /// The plugin.
    pub(super) name: &'a str,
    /// As whom it does so. None: as the host.
    pub(super) account: Option<&'a ServiceAccount>,
    /// Whether an apply takes fields over from others.
    pub(super) force: bool,
    /// Whether nothing is changed after all.
    pub(super) dry_run: bool,
}

impl Author<'_> {
    /// The field manager of what the plugin changes.
    fn manager(&self) -> String {
        // The API server takes no longer ones.
        let mut manager = format!("oarlock-{}", self.name);
        manager.truncate(manager.floor_char_boundary(128));
        manager
    }

    fn patch_params(&self) -> PatchParams {
        PatchParams { field_manager: Some(self.manager()), dry_run: self.dry_run, ..PatchParams::default() }
    }
}

impl Cluster {
    /// Does one step. Returns what the object is after it; none if that was not told.
    pub(super) async fn carry_out(
        &self,
        author: Author<'_>,
        kind: &Kind,
        about: &ObjectRef,
        step: &Step,
    ) -> Result<Option<(Gvk, Written)>, Trouble> {
        let api = self.api(author, kind, &about.key)?;
        if !author.dry_run {
            self.changed.note(&kind.gvk);
        }
        let name = about.key.name();
        let object = match step {
            Step::Apply { body, part, .. } => {
                let params = PatchParams { force: author.force, ..author.patch_params() };
                match part {
                    Part::Main => api.patch(name, &params, &Patch::Apply(body)).await,
                    Part::Status => api.patch_status(name, &params, &Patch::Apply(body)).await,
                }
            }
            Step::MergePatch(_, patch) => api.patch(name, &author.patch_params(), &Patch::Merge(patch)).await,
            Step::JsonPatch(_, patch) => {
                api.patch(name, &author.patch_params(), &Patch::<Value>::Json(patch.clone())).await
            }
            Step::Finalizers(object, finalizers) => {
                let patch = Patch::Merge(finalizers_patch(object, finalizers));
                match api.patch(name, &author.patch_params(), &patch).await {
                    // The last finalizer is gone, and the object with it.
                    Err(kube::Error::Api(status)) if status.code == 404 && finalizers.is_empty() => {
                        return Ok(Some((kind.gvk.clone(), Written::Gone(about.key.clone(), object.uid.clone()))));
                    }
                    patched => patched,
                }
            }
            Step::Delete { uid, .. } => return self.delete(author, kind, &about.key, uid.as_deref()).await,
            // It is not about an object of that kind.
            Step::Event(_) => return Ok(None),
        };
        if let Err(kube::Error::Api(status)) = &object
            && status.code == 404
        {
            // The kind may be gone, or served by another path by now.
            let _ = self.discover(&kind.gvk).await;
        }
        let object = object.map_err(|error| trouble(&error, kind))?;
        Ok(object.into_object(&kind.gvk).map(|object| (kind.gvk.clone(), written(object, kind))))
    }

    /// What one step would make of what: both as JSON; none if there is no such object.
    pub(super) async fn try_out(
        &self,
        author: Author<'_>,
        kind: &Kind,
        about: &ObjectRef,
        step: &Step,
    ) -> Result<(Option<String>, Option<String>), Trouble> {
        let api = self.api(author, kind, &about.key)?;
        let before = api.get_opt(about.key.name()).await.map_err(|error| trouble(&error, kind))?;
        let before = before.and_then(|raw| raw.into_object(&kind.gvk));
        let after = self.carry_out(author, kind, about, step).await?;
        let after = match after {
            Some((_, Written::Object(object))) => Some(object.json.text().into_owned()),
            Some((_, Written::Gone(..))) => None,
            None => before.as_ref().map(|object| object.json.text().into_owned()),
        };
        Ok((before.map(|object| object.json.text().into_owned()), after))
    }

    /// An object as it is now.
    pub(super) async fn look_up(
        &self,
        account: Option<&ServiceAccount>,
        kind: &Kind,
        target: &ObjectRef,
    ) -> Result<Option<Object>, Trouble> {
        let author = Author { name: "", account, force: false, dry_run: false };
        let found = self.api(author, kind, &target.key)?.get_opt(target.key.name()).await;
        Ok(found.map_err(|error| trouble(&error, kind))?.and_then(|raw| raw.into_object(&kind.gvk)))
    }

    fn api(&self, author: Author<'_>, kind: &Kind, key: &ObjectKey) -> Result<Api<RawObject>, Trouble> {
        let client = self.client_for(author.account).map_err(|error| explain(&error))?;
        Ok(match key.namespace() {
            Some(namespace) => Api::namespaced_with(client, namespace, kind),
            None => Api::all_with(client, kind),
        })
    }

    async fn delete(
        &self,
        author: Author<'_>,
        kind: &Kind,
        key: &ObjectKey,
        uid: Option<&str>,
    ) -> Result<Option<(Gvk, Written)>, Trouble> {
        let api = self.api(author, kind, key)?;
        let preconditions = uid.map(|uid| Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let params = DeleteParams { preconditions, dry_run: author.dry_run, ..DeleteParams::background() };
        match api.delete(key.name(), &params).await {
            Ok(Either::Left(raw)) => {
                let end = |object: Object| {
                    if object.deleting { written(object, kind) } else { Written::Gone(object.key, object.uid) }
                };
                Ok(raw.into_object(&kind.gvk).map(|object| (kind.gvk.clone(), end(object))))
            }
            Ok(Either::Right(status)) => {
                let details = status.details.map(|details| details.uid).unwrap_or_default();
                let uid = uid.unwrap_or(&*details).into();
                Ok(Some((kind.gvk.clone(), Written::Gone(key.clone(), uid))))
            }
            // It is gone already, or was made anew and is not the one that is meant.
            Err(kube::Error::Api(status)) if status.code == 404 || (status.code == 409 && uid.is_some()) => Ok(None),
            Err(error) => Err(trouble(&error, kind)),
        }
    }
}

/// What an object is that the API server has answered with: one that was to be deleted, and waits for nothing any more,
/// is gone. That is the rule of the API server's own; a Namespace has finalizers elsewhere.
fn written(object: Object, kind: &Kind) -> Written {
    let waits = object.grace_period() > 0 || is_namespace(&kind.gvk);
    if object.deleting && object.finalizers.is_empty() && !waits {
        Written::Gone(object.key, object.uid)
    } else {
        Written::Object(Arc::new(object))
    }
}

fn trouble(error: &kube::Error, kind: &Kind) -> Trouble {
    let rest = if let kube::Error::Api(status) = error { rest(status) } else { Duration::ZERO };
    Trouble { reason: explain_action(error, kind), rest }
}

/// The error, and for a conflict who has the fields. Of a Secret, nothing is told that may quote one of its values.
fn explain_action(error: &kube::Error, kind: &Kind) -> String {
    let kube::Error::Api(status) = error else { return explain(error) };
    let Status { message, details, reason, code, .. } = &**status;
    let causes = || details.iter().flat_map(|details| &details.causes);
    let conflicts: Vec<_> = causes()
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| format!("{} ({})", cause.field, cause.message))
        .collect();
    if !conflicts.is_empty() {
        let fields = text::shortened(&conflicts.join(", "));
        return format!("others have set {fields}; they have to let go of it, or the grant has to say `force: true`");
    }
    if is_secret(&kind.gvk) && !tells_no_values(*code, message) {
        let fields: Vec<_> = causes().map(|cause| &*cause.field).filter(|field| !field.is_empty()).collect();
        let about = if fields.is_empty() { String::new() } else { format!(" about {}", fields.join(", ")) };
        return text::shortened(&format!(
            "the API server answers {code} {reason}{about}; what else it says may quote a value of the Secret"
        ));
    }
    text::shortened(message)
}

/// Whether an answer is about who may do what, or about whether and in which version the object is there. Answers that say
/// what is wrong with an object quote it, and so may webhooks.
fn tells_no_values(code: u16, message: &str) -> bool {
    matches!(code, 401 | 404 | 409 | 410 | 429 | 503 | 504) || code == 403 && message.contains(" is forbidden: User \"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::{StatusCause, StatusDetails};

    fn explained(kind: &str, code: u16, message: &str) -> String {
        let gvk = Gvk::new("v1", kind);
        let kind = Kind { gvk, plural: "things".into(), namespaced: true };
        let cause = StatusCause { field: "data[key]".into(), message: message.into(), reason: "Invalid".into() };
        let details: StatusDetails = serde_json::from_value(serde_json::json!({ "causes": [cause] })).unwrap();
        let status = Status { code, message: message.into(), reason: "Invalid".into(), ..Status::default() };
        explain_action(&kube::Error::Api(Status { details: Some(details), ..status }.boxed()), &kind)
    }

    #[test]
    fn what_the_api_server_says_of_a_secret_is_told_without_its_values() {
        let quotes = "failed to create typed patch object: .data.key: expected string, got hunter2";
        let webhook = r#"admission webhook "w" denied the request: hunter2 is too simple"#;
        for (code, message) in [(422, quotes), (500, quotes), (400, quotes), (403, webhook)] {
            let told = explained("Secret", code, message);
            assert!(!told.contains("hunter2") && told.contains(&format!("{code} Invalid about data[key]")), "{told}");
            assert_eq!(explained("ConfigMap", code, message), message);
        }
        let rights = r#"secrets "a" is forbidden: User "me" cannot patch resource "secrets" in API group """#;
        assert_eq!(explained("Secret", 403, rights), rights);
    }
}
