//! Who may do what, by asking the API server.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use super::Cluster;
use crate::grant::ServiceAccount;
use crate::rbac::{Need, Scope};

impl Cluster {
    /// Those of the needs, a verb each, that the account has no right for. Without an account, the host's own.
    pub async fn lacks(&self, account: Option<&ServiceAccount>, needs: &[Need]) -> Result<Vec<Need>, kube::Error> {
        let mut lacking = Vec::new();
        for need in needs {
            for verb in &need.verbs {
                if !self.may(account, need, verb).await? {
                    lacking.push(Need { verbs: [*verb].into(), ..need.clone() });
                }
            }
        }
        Ok(lacking)
    }

    async fn may(&self, account: Option<&ServiceAccount>, need: &Need, verb: &str) -> Result<bool, kube::Error> {
        let (resource, subresource) = match need.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (&*need.resource, None),
        };
        let attributes = ResourceAttributes {
            group: Some(need.group.clone()),
            resource: Some(resource.to_owned()),
            subresource,
            verb: Some(verb.to_owned()),
            namespace: match &need.scope {
                Scope::Cluster => None,
                Scope::Namespace(namespace) => Some(namespace.clone()),
            },
            ..ResourceAttributes::default()
        };
        let status = match account {
            None => {
                let spec = SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(attributes),
                    non_resource_attributes: None,
                };
                let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
                let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client());
                reviews.create(&PostParams::default(), &review).await?.status
            }
            Some(account) => {
                let spec = SubjectAccessReviewSpec {
                    user: Some(account.user()),
                    groups: Some(account.groups()),
                    resource_attributes: Some(attributes),
                    ..SubjectAccessReviewSpec::default()
                };
                let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
                let reviews: Api<SubjectAccessReview> = Api::all(self.client());
                reviews.create(&PostParams::default(), &review).await?.status
            }
        };
        Ok(status.is_some_and(|status| status.allowed))
    }
}
