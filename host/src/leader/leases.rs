//! The Leases of an election, as the API server has them.

use std::time::Duration;

use k8s_openapi::api::coordination::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::json;

use super::election::{Lease, LeaseName, Write, Written};

/// What all Leases of an election have in common: its name.
const LABEL: &str = "oarlock.dev/election";

/// The Leases of one election.
pub(super) struct Leases {
    client: Client,
    namespace: String,
    /// What the names of the Leases begin with.
    election: String,
    me: String,
    duration: Duration,
}

impl Leases {
    /// Those of the election of that name. What is held is held by `me`, for `duration`, which is whole seconds.
    pub(super) fn new(client: Client, namespace: String, election: String, me: String, duration: Duration) -> Self {
        Self { client, namespace, election, me, duration }
    }

    /// All that there are, not older than this question.
    pub(super) async fn list(&self) -> Result<Vec<Lease>, kube::Error> {
        let selected = ListParams::default().labels(&format!("{LABEL}={}", self.election));
        let leases = self.api().list(&selected).await?;
        Ok(leases.items.into_iter().filter_map(|lease| self.read(lease)).collect())
    }

    /// Writes to a Lease, if it is still as it was known.
    pub(super) async fn write(&self, write: &Write) -> Result<Written, kube::Error> {
        let api = self.api();
        let name = self.name(write.name());
        let patch = async |patch| {
            let patched = api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
            patched.map(|lease| self.read(lease))
        };
        let now = MicroTime(Timestamp::now());
        let result = match write {
            Write::Create(_) => api.create(&PostParams::default(), &self.new_lease(name)).await.map(|l| self.read(l)),
            Write::Hold(lease) => {
                let mut spec = json!({
                    "holderIdentity": self.me, "leaseDurationSeconds": self.duration.as_secs(), "renewTime": now,
                });
                if lease.holder != self.me {
                    spec["acquireTime"] = json!(now);
                    spec["leaseTransitions"] = lease.transitions.saturating_add(1).into();
                }
                patch(json!({"metadata": {"resourceVersion": lease.version}, "spec": spec})).await
            }
            Write::Release(lease) => {
                let spec = json!({"holderIdentity": "", "renewTime": now});
                patch(json!({"metadata": {"resourceVersion": lease.version}, "spec": spec})).await
            }
            Write::Remove(lease) => {
                let preconditions = Preconditions { resource_version: Some(lease.version.clone()), uid: None };
                let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
                api.delete(&name, &params).await.map(|_| None)
            }
        };
        match result {
            Ok(lease) => Ok(Written::Done(lease)),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Written::Refused),
            Err(error) => Err(error),
        }
    }

    /// `NAMESPACE/NAME` of a Lease.
    pub(super) fn path(&self, name: &LeaseName) -> String {
        format!("{}/{}", self.namespace, self.name(name))
    }

    fn api(&self) -> Api<api::Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn name(&self, name: &LeaseName) -> String {
        let election = &self.election;
        match name {
            LeaseName::Shard { of: 1, .. } => election.clone(),
            LeaseName::Shard { number, of } => format!("{election}-{number}-of-{of}"),
            // An identity ends with what is like no other.
            LeaseName::Member(identity) => {
                format!("{election}-member-{}", identity.rsplit('_').next().unwrap_or_default())
            }
        }
    }

    fn new_lease(&self, name: String) -> api::Lease {
        let now = MicroTime(Timestamp::now());
        api::Lease {
            metadata: ObjectMeta {
                name: Some(name),
                labels: Some([(LABEL.to_owned(), self.election.clone())].into()),
                ..ObjectMeta::default()
            },
            spec: Some(api::LeaseSpec {
                holder_identity: Some(self.me.clone()),
                lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(0),
                ..api::LeaseSpec::default()
            }),
        }
    }

    /// None: it is none of the election's.
    fn read(&self, lease: api::Lease) -> Option<Lease> {
        let (metadata, spec) = (lease.metadata, lease.spec.unwrap_or_default());
        let holder = spec.holder_identity.unwrap_or_default();
        let name = metadata.name?;
        let rest = name.strip_prefix(&self.election)?;
        let name = if rest.is_empty() {
            LeaseName::Shard { number: 0, of: 1 }
        } else if let Some(member) = rest.strip_prefix("-member-") {
            LeaseName::Member(if holder.is_empty() { format!("_{member}") } else { holder.clone() })
        } else {
            let (number, of) = rest.strip_prefix('-')?.split_once("-of-")?;
            LeaseName::Shard { number: number.parse().ok()?, of: of.parse().ok()? }
        };
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Some(Lease {
            name,
            version: metadata.resource_version?,
            holder,
            duration: seconds.map_or(self.duration, Duration::from_secs),
            transitions: spec.lease_transitions.unwrap_or_default(),
        })
    }
}
