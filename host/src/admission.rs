//! Whether the cluster allows what a plugin is to do: of the account that it acts as, and of the host's own.

use std::collections::HashMap;
use std::time::Duration;

use crate::cluster::{Cluster, explain};
use crate::object::{Gvk, Kind};
use crate::plugin::Plugin;
use crate::rbac::{self, Need, rule_yaml};
use crate::rights::{self, Rights};
use crate::selector::Scope;
use crate::source::Source;
use crate::source::manifests::Kinds;
use crate::worker::{Repeat, Workshop};

/// How often the API server is asked whether an account has got its rights by now.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Waits until the account that the plugin acts as may read what the plugin is called for. An error says why it is not
/// waited for.
pub async fn wait(workshop: &Workshop, plugin: &Plugin) -> Result<(), String> {
    let (Source::Cluster(cluster), Some(account)) = (&workshop.source, &plugin.grant.service_account) else {
        return Ok(());
    };
    let wait = workshop.waits.begin(&plugin.name);
    let mut told = None;
    loop {
        let mut watches = Vec::new();
        for watch in plugin.watches.iter().chain(&plugin.owns).filter_map(|watch| workshop.scope.narrow(watch)) {
            watches.push(rights::to_watch(&kind(cluster, &watch.gvk).await, &watch));
        }
        let reason = match cluster.lacks(Some(account), &watches).await {
            Ok(lacking) if lacking.is_empty() => return Ok(()),
            Ok(lacking) => format!("the service account {account} lacks rights: {}", rules(&lacking)),
            Err(error) => format!("cannot tell what the service account {account} may do: {}", explain(&error)),
        };
        if workshop.repeat == Repeat::Never {
            return Err(reason);
        }
        if told.as_ref() != Some(&reason) {
            tracing::warn!(plugin = &*plugin.name, "waiting to put it in force: {reason}");
            wait.because(&reason);
            told = Some(reason);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Says which rights the host, or the account that the plugin acts as, lacks for what it is granted.
pub async fn check_rights(workshop: &Workshop, plugin: &Plugin) {
    let Source::Cluster(cluster) = &workshop.source else { return };
    let Rights { host, account } = rights_of(cluster, plugin, &workshop.scope).await;
    let of_account = plugin.grant.service_account.as_ref().map(|of| (Some(of), account));
    for (who, needs) in [(None, host)].into_iter().chain(of_account) {
        let whose =
            who.map_or_else(|| "the host's account".to_owned(), |account| format!("the service account {account}"));
        match cluster.lacks(who, &needs).await {
            Ok(lacking) if lacking.is_empty() => {}
            Ok(lacking) => tracing::warn!(
                plugin = &*plugin.name,
                "{whose} lacks rights for what the plugin watches and is granted; `oarlock rbac` prints all of them: {}",
                rules(&lacking),
            ),
            Err(error) => {
                tracing::warn!(plugin = &*plugin.name, "cannot tell what {whose} may do: {}", explain(&error));
            }
        }
    }
}

async fn rights_of(cluster: &Cluster, plugin: &Plugin, scope: &Scope) -> Rights {
    let mut kinds = HashMap::new();
    for gvk in plugin.kinds() {
        let kind = kind(cluster, &gvk).await;
        kinds.insert(gvk, kind);
    }
    rights::of(plugin, scope, |gvk| kinds.get(gvk).cloned().unwrap_or_else(|| Kinds::default().kind(gvk)))
}

/// A kind as it is served, or else as it would be called.
async fn kind(cluster: &Cluster, gvk: &Gvk) -> Kind {
    cluster.kind(gvk).await.ok().flatten().unwrap_or_else(|| Kinds::default().kind(gvk))
}

fn rules(needs: &[Need]) -> String {
    let rule = |need: &Need| match &need.scope {
        rbac::Scope::Cluster => rule_yaml(need),
        rbac::Scope::Namespace(namespace) => format!("{} in namespace {namespace}", rule_yaml(need)),
    };
    rbac::merged(needs).iter().map(rule).collect::<Vec<_>>().join("; ")
}
