//! How it stands with a plugin, in a word, and what to do about it.

use super::PluginState;
use crate::dispatch::Survey;
use crate::journal::FileState;

/// The state of a plugin and, if something is wrong, what that is and what to do.
pub(super) fn verdict(
    name: &str,
    survey: Option<&Survey>,
    file: &FileState,
    waits: Option<&str>,
) -> (PluginState, Option<String>) {
    let in_force = survey.map(|survey| &survey.plugin);
    match (file, survey) {
        (_, Some(Survey { retired: true, plugin, .. })) => {
            let finalizer = plugin.finalizer.as_deref().unwrap_or_default();
            let problem = format!(
                "its file is gone, and its finalizer {finalizer} is still on objects, which cannot be deleted without it: put \
                 {name}.wasm back, or take the finalizer from them"
            );
            (PluginState::LeftBehind, Some(problem))
        }
        (FileState::Refused(reason), _) => {
            let consequence = match in_force {
                Some(plugin) => format!("version {:.12} stays in force", plugin.digest),
                None => "there is no other version of it".to_owned(),
            };
            let problem = format!("its file is refused, {consequence}; it is loaded again when it changes: {reason}");
            (PluginState::Refused, Some(problem))
        }
        (_, Some(Survey { pause: Some(pause), .. })) => {
            let problem = format!(
                "it breaks whatever the object, and is tried with one call every {} until it answers; see its last errors, \
                 and replace its file",
                humantime::format_duration(*pause)
            );
            (PluginState::Paused, Some(problem))
        }
        _ if let Some(reason) = waits => {
            let problem = format!("it waits to be put in force: {reason}");
            (PluginState::Waiting, Some(problem))
        }
        (FileState::RolledBack, Some(Survey { plugin, .. })) => {
            let problem = format!(
                "its file broke where version {:.12} did not, which is in force again; see its reloads, and replace the file",
                plugin.digest
            );
            (PluginState::RolledBack, Some(problem))
        }
        (_, None) => (PluginState::Loading, None),
        (_, Some(Survey { fallback: Some(_), .. })) => (PluginState::OnProbation, None),
        _ => (PluginState::Ready, None),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::grant::Grant;
    use crate::plugin::Plugin;
    use crate::queue::Counts;

    #[test]
    fn the_worst_counts_and_says_what_to_do() {
        let plugin = |version| Arc::new(Plugin::idle(version, Grant::default(), Vec::new()));
        let survey = |pause, fallback, retired| {
            let (targets, owned, reads, queue) = (Vec::new(), Vec::new(), Vec::new(), Counts::default());
            Survey { plugin: plugin(1), retired, pause, fallback, targets, owned, reads, queue }
        };
        let well = survey(None, None, false);
        let proving = survey(None, Some(plugin(2)), false);
        let paused = survey(Some(Duration::from_secs(4)), Some(plugin(2)), false);
        let left = survey(None, None, true);
        let refused = FileState::Refused("no wasm".into());
        let rights = Some("an account lacks rights");
        for (survey, file, waits, state, says) in [
            (Some(&well), FileState::InForce, None, PluginState::Ready, ""),
            (Some(&proving), FileState::InForce, None, PluginState::OnProbation, ""),
            (Some(&paused), FileState::InForce, None, PluginState::Paused, "one call every 4s until it answers"),
            (
                Some(&paused),
                refused.clone(),
                None,
                PluginState::Refused,
                "stays in force; it is loaded again when it changes",
            ),
            (Some(&well), FileState::RolledBack, None, PluginState::RolledBack, "replace the file"),
            (Some(&well), FileState::InForce, rights, PluginState::Waiting, "an account lacks rights"),
            (Some(&left), FileState::Unknown, None, PluginState::LeftBehind, "put demo.wasm back"),
            (None, FileState::Unknown, None, PluginState::Loading, ""),
            (None, FileState::InForce, rights, PluginState::Waiting, "an account lacks rights"),
            (None, refused, None, PluginState::Refused, "there is no other version of it"),
        ] {
            let (found, problem) = verdict("demo", survey, &file, waits);
            assert_eq!(found, state);
            let problem = problem.unwrap_or_default();
            assert!(problem.contains(says) && problem.is_empty() == says.is_empty(), "{state:?}: {problem}");
        }
    }
}
