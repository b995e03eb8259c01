//! What there is to say of the file of a plugin.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{ms, name_of};
use crate::grant::{Grant, Namespaces, Verb};
use crate::object::Gvk;
use crate::plugin::{Anatomy, CompilerError, Import, Inspection, LoadError, Loader, Pair, Plugin, Style};
use crate::selector::Selection;

/// What there is to say of the file of a plugin: the shape of `oarlock check --json`, which leaves out what is not known.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Its path, as it was given.
    pub file: String,
    /// Whether a host without flags would put it in force.
    pub loads: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What may be wrong, and what to do about it, a sentence each.
    pub advice: Vec<String>,
    /// Its size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Its SHA-256, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// `module` or `component`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<&'static str>,
    /// What is run of it: `reconciler` or `command`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<&'static str>,
    /// The version of the contract that it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// The interfaces that it imports, or the items of a module that cannot be made a component.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<String>,
    /// Those of them that the host does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What it says of itself, if it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub describes: Option<Described>,
    /// What it takes, if it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// What its grant file says. None: there is no such file, or it is wrong, which `reason` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grants>,
}

/// What a plugin says of itself.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Described {
    /// For people. None: it is a command, which says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it is called for, by its grant file where that says so.
    pub watches: Vec<Watched>,
    /// What it makes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owns: Vec<Watched>,
    /// The finalizer that it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finalizer: Option<String>,
}

/// Objects, as a grant file selects them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Watched {
    api_version: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_selector: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field_selector: Option<String>,
    /// For people.
    #[serde(skip)]
    text: String,
}

/// What a plugin takes on this machine, of one try.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Milliseconds to compile it, with the start of the process that does so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compile_ms: Option<f64>,
    /// Milliseconds to make a component of a module, which is a part of compiling it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub componentize_ms: Option<f64>,
    /// Milliseconds from its code to an instance that has described itself.
    pub start_ms: f64,
    /// Bytes of all memories and tables of that instance. None: it is a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<usize>,
}

/// What a grant file says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grants {
    /// Its path.
    pub file: String,
    /// `enforce` or `shadow`.
    pub mode: &'static str,
    /// What may be done, for people.
    pub grants: Vec<String>,
}

impl Report {
    /// Looks at a file, and at the grant file beside it, and loads it as a host would.
    pub async fn of(path: &Path, loader: &Arc<Loader>) -> Self {
        let report = Self { file: path.display().to_string(), ..Self::default() };
        let grant_path = path.with_extension("yaml");
        let Pair { version, plugin: bytes, grant } =
            match Pair::read(path.to_owned(), grant_path.clone(), loader.limits().wasm) {
                Ok(pair) => pair,
                Err(error) => return Self { reason: Some(error.to_string()), ..report },
            };
        let (size, sha256) = (Some(bytes.len()), Some(version.plugin.to_string()));
        let (grant, wrong) = match grant {
            Ok(grant) => (grant, None),
            Err(error) => (Grant::default(), Some(error)),
        };
        let plugin = Arc::clone(loader).load(name_of(path), (version.plugin, bytes.clone()), grant).await;
        let inspection = if was_too_much(&plugin) { Inspection::default() } else { Inspection::of(&bytes) };
        let anatomy = inspection.anatomy.as_ref();
        let mut report = Self {
            size,
            sha256,
            form: anatomy.map(|anatomy| if anatomy.is_component { "component" } else { "module" }),
            style: anatomy.and_then(Anatomy::style).map(Style::as_str),
            contract: anatomy.and_then(Anatomy::contract).map(str::to_owned),
            imports: names(&inspection.imports),
            missing: names(&inspection.missing),
            advice: inspection.advice,
            ..report
        };
        if path.extension() != Some("wasm".as_ref()) {
            report.advice.push("a host looks at files whose names end with `.wasm`, and at no others".to_owned());
        }
        if let Ok(plugin) = &plugin {
            report.describes = Some(Described::of(plugin));
            report.figures = Some(Figures::of(plugin, inspection.componentizing));
            // Of a grant file that is wrong it is not known what it was to grant.
            if wrong.is_none() {
                report.advice.extend(ungranted(plugin, &inspection.imports));
                report.grant = version.grant.map(|_| Grants::of(&plugin.grant, &grant_path));
            }
        }
        let error = wrong.or(plugin.err());
        Self { loads: error.is_none(), reason: error.map(|error| error.to_string()), ..report }
    }
}

/// Whether making code of it was ended, so that nothing of that is to be tried here, where it has no bounds.
fn was_too_much(loaded: &Result<Plugin, LoadError>) -> bool {
    let Err(LoadError::Compile(error)) = loaded else { return matches!(loaded, Err(LoadError::Panicked)) };
    !matches!(error, CompilerError::Refused(_))
}

fn names(imports: &[Import]) -> Vec<String> {
    imports.iter().map(ToString::to_string).collect()
}

impl Described {
    fn of(plugin: &Plugin) -> Self {
        let (name, version) = plugin.described.clone().unzip();
        let watched = |selections: &[Selection]| selections.iter().map(Watched::of).collect();
        Self {
            name: name.map(String::from),
            version: version.map(String::from),
            watches: watched(&plugin.watches),
            owns: watched(&plugin.owns),
            finalizer: plugin.finalizer.as_deref().map(str::to_owned),
        }
    }
}

impl Watched {
    fn of(selection: &Selection) -> Self {
        let Selection { gvk, namespace, labels, fields } = selection;
        Self {
            api_version: gvk.api_version().to_owned(),
            kind: gvk.kind().to_owned(),
            namespace: namespace.as_deref().map(str::to_owned),
            label_selector: (!labels.selects_all()).then(|| labels.to_string()),
            field_selector: (!fields.selects_all()).then(|| fields.to_string()),
            text: selection.to_string(),
        }
    }

    /// For people.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Figures {
    fn of(plugin: &Plugin, componentizing: Option<Duration>) -> Self {
        Self {
            compile_ms: plugin.arrival.compile.map(ms),
            componentize_ms: componentizing.map(ms),
            start_ms: ms(plugin.arrival.start),
            memory: plugin.arrival.memory,
        }
    }
}

impl Grants {
    fn of(grant: &Grant, path: &Path) -> Self {
        let grants = grant.rules.iter().map(|rule| {
            let verbs: Vec<_> = rule.verbs.iter().map(|verb| verb.as_str()).collect();
            let force = if rule.force { ", by force" } else { "" };
            let place = match &rule.namespaces {
                Namespaces::OfTarget => "where it is called for".to_owned(),
                Namespaces::Named(names) => format!("in namespace {}", names.join(", ")),
                Namespaces::All => "in all namespaces".to_owned(),
            };
            format!("{} {} {} {place}{force}", verbs.join(", "), rule.api_version, rule.kinds.join(", "))
        });
        Self { file: path.display().to_string(), mode: grant.mode.as_str(), grants: grants.collect() }
    }
}

/// What a plugin will want that it is not granted, as far as it can be told without calling it.
fn ungranted(plugin: &Plugin, imports: &[Import]) -> Vec<String> {
    let grant = &plugin.grant;
    let file = format!("{}.yaml", plugin.name);
    let lacks = |verb: Verb, gvk: &Gvk| {
        (!grant.names(verb, gvk))
            .then(|| format!("add to the grants in {file}: {}", Grant::lines_to_add(verb, gvk, None, None)))
    };
    let mut advice = Vec::new();
    if let Some(finalizer) = &plugin.finalizer {
        let denied = plugin.watches.iter().filter_map(|watch| Some((watch, lacks(Verb::Finalize, &watch.gvk)?)));
        advice.extend(denied.map(|(watch, add)| {
            format!("it needs its finalizer {finalizer} on each {} and is not granted that: {add}", watch.gvk)
        }));
    }
    for owned in &plugin.owns {
        if let Some(add) = lacks(Verb::Apply, &owned.gvk) {
            advice.push(format!("it owns {} and is not granted to apply any: {add}", owned.gvk));
        } else if let Some(add) = lacks(Verb::Delete, &owned.gvk) {
            advice.push(format!(
                "it owns {} and is not granted to delete those that it does not want any more: {add}",
                owned.gvk
            ));
        }
    }
    let reads = imports.iter().any(|import| import.from.starts_with("oarlock:plugin/cluster@"));
    let may_read = grant.rules.iter().any(|rule| rule.verbs.iter().any(|verb| matches!(verb, Verb::Get | Verb::List)));
    if reads && !may_read {
        advice.push(format!(
            "it reads the cluster and is not granted to read anything: add the verbs get or list to grants in {file}"
        ));
    }
    advice
}
