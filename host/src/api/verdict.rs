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
