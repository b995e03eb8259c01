//! Where the options of a command come from: the command line, then the environment, then a file.
//!
//! Each option has one name: `--call-cpu`, `OARLOCK_CALL_CPU`, and `call-cpu` in the file. What the file says is put in
//! among the arguments where neither of the others says anything, so that it is read and checked as they are.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::yaml::{Node, Value, YamlError, scalar, unknown};

/// The subcommands whose options have these sources.
const LAYERED: [&str; 3] = ["run", "config", "record"];

/// The option that names the file.
const FILE: &str = "config";

/// The arguments of the process, taken in.
pub(super) struct Options {
    /// What clap makes of them.
    pub(super) matches: ArgMatches,
    /// Those of the subcommand, if it is one of those with more sources than the command line.
    pub(super) layered: Vec<Chosen>,
}

/// An option and what was chosen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// As in `--name`.
    pub(super) name: String,
    /// None: nothing is.
    pub(super) value: Option<String>,
    pub(super) origin: Origin,
}

/// Where the value of an option comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    CommandLine,
    Environment(String),
    File { path: PathBuf, line: usize },
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Environment(name) => f.write_str(name),
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Why the arguments cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub(super) enum UsageError {
    /// What clap says, which may be the help that was asked for.
    #[error("{error}")]
    Clap {
        error: clap::Error,
        /// Where what it names comes from, unless it is the command line.
        origins: Vec<String>,
    },
    #[error(transparent)]
    File(#[from] anyhow::Error),
}

impl UsageError {
    /// Says what is wrong, for the process to end with that code.
    pub(super) fn say(&self) -> ExitCode {
        match self {
            Self::Clap { error, origins } => {
                // Where it cannot be written, nothing can be said of that either.
                let _ = error.print();
                for origin in origins {
                    eprintln!("note: {origin}");
                }
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
            Self::File(error) => {
                eprintln!("error: {error:#}");
                ExitCode::from(2)
            }
        }
    }
}

impl From<clap::Error> for UsageError {
    fn from(error: clap::Error) -> Self {
        Self::Clap { error, origins: Vec::new() }
    }
}

/// What another source than the command line says of an option.
struct Entry {
    origin: Origin,
    /// What it is as an argument. None: an option without a value that is not chosen.
    argument: Option<String>,
}

/// Takes in the arguments of the process.
pub(super) fn take_in(mut command: Command, arguments: Vec<OsString>) -> Result<Options, UsageError> {
    // Only then its options know how they are written.
    command.build();
    // What the others say is put in among the arguments, and yet it has to be known before which of them say nothing.
    let first = command.clone().ignore_errors(true).try_get_matches_from(&arguments).ok();
    let Some((name, given)) =
        first.as_ref().and_then(ArgMatches::subcommand).filter(|(name, _)| LAYERED.contains(name))
    else {
        return Ok(Options { matches: command.try_get_matches_from(arguments)?, layered: Vec::new() });
    };
    let subcommand = command.find_subcommand(name).context("a subcommand that was found")?;
    let from_environment = entries_of_environment(subcommand, |name| std::env::var_os(name))?;
    let file = given.get_one::<PathBuf>(FILE).cloned();
    let file = file.or_else(|| std::env::var_os(variable(FILE)).filter(|path| !path.is_empty()).map(Into::into));
    let mut entries = file.as_deref().map_or_else(|| Ok(BTreeMap::new()), |file| entries_of_file(file, subcommand))?;
    entries.extend(from_environment);
    entries.retain(|option, _| !is_given(given, subcommand, option));

    let (mut all, mut after) = (Vec::new(), arguments.into_iter());
    for argument in after.by_ref() {
        let is_name = argument == *OsStr::new(name);
        all.push(argument);
        if is_name {
            break;
        }
    }
    all.extend(entries.values().filter_map(|entry| entry.argument.clone().map(OsString::from)));
    all.extend(after);

    let matches = command.clone().try_get_matches_from(all);
    let matches = matches.map_err(|error| with_origins(error, subcommand, &entries))?;
    let (_, chosen) = matches.subcommand().context("a subcommand that was found")?;
    let layered = options(subcommand).map(|(name, option)| Chosen {
        name: name.to_owned(),
        value: value_of(chosen, option),
        origin: match (entries.get(name), is_given(given, subcommand, name)) {
            (Some(entry), _) => entry.origin.clone(),
            (None, true) => Origin::CommandLine,
            (None, false) => Origin::Default,
        },
    });
    let layered = layered.collect();
    Ok(Options { matches, layered })
}

/// The options of a command that have a name in all sources, by that name.
fn options(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    let options = command.get_arguments().filter_map(|option| Some((option.get_long()?, option)));
    options.filter(|(name, _)| !["help", "version"].contains(name))
}

/// The environment variable of an option.
fn variable(name: &str) -> String {
    format!("OARLOCK_{}", name.replace('-', "_").to_uppercase())
}

fn is_given(matches: &ArgMatches, command: &Command, name: &str) -> bool {
    let option = options(command).find(|(other, _)| *other == name);
    let source = option.and_then(|(_, option)| matches.value_source(option.get_id().as_str()));
    source == Some(ValueSource::CommandLine)
}

/// The value of an option as text; of one that takes none, whether it is chosen.
fn value_of(matches: &ArgMatches, option: &Arg) -> Option<String> {
    let id = option.get_id().as_str();
    if takes_none(option) {
        return Some(matches.get_flag(id).to_string());
    }
    let value = matches.get_raw(id)?.next_back()?;
    Some(value.to_string_lossy().into_owned())
}

/// What the environment says, by option.
fn entries_of_environment(
    command: &Command,
    read: impl Fn(&str) -> Option<OsString>,
) -> anyhow::Result<BTreeMap<String, Entry>> {
    let mut entries = BTreeMap::new();
    for (name, option) in options(command) {
        let variable = variable(name);
        // An empty one is what is left of a template that was given no value.
        let Some(value) = read(&variable).filter(|value| !value.is_empty()) else { continue };
        let value = value.into_string().map_err(|_| anyhow!("{variable} is not UTF-8"))?;
        let value = match &*value {
            "1" if takes_none(option) => "true".to_owned(),
            "0" if takes_none(option) => "false".to_owned(),
            other if takes_none(option) && other.parse::<bool>().is_err() => {
                return Err(anyhow!("{variable}: expected true or false, found `{other}`"));
            }
            _ => value,
        };
        entries.insert(name.to_owned(), Entry::new(name, option, &value, Origin::Environment(variable)));
    }
    Ok(entries)
}

/// What the file says, by option.
fn entries_of_file(path: &Path, command: &Command) -> anyhow::Result<BTreeMap<String, Entry>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {} (--{FILE})", path.display()))?;
    entries_of_text(&text, path, command).map_err(|error| anyhow!("{}, {error}", path.display()))
}

fn entries_of_text(text: &str, path: &Path, command: &Command) -> Result<BTreeMap<String, Entry>, YamlError> {
    let mut entries = BTreeMap::new();
    let Some(node) = Node::parse(text)? else { return Ok(entries) };
    for (key, node) in node.fields("a configuration")? {
        let Some((_, option)) = options(command).find(|(name, _)| *name == key.name && *name != FILE) else {
            let names: Vec<_> = options(command).map(|(name, _)| name).filter(|name| *name != FILE).collect();
            return Err(unknown("option", &key.name, key.line, &names));
        };
        let value = match &node.value {
            Value::Bool(value) => value.to_string(),
            Value::Text(text) if !takes_none(option) => text.clone(),
            Value::Number(number) if !takes_none(option) => number.to_string(),
            _ if takes_none(option) => return Err(node.is_no(&key, "true or false")),
            _ => return Err(node.is_no(&key, "a text, a number, or true or false")),
        };
        let origin = Origin::File { path: path.to_owned(), line: key.line };
        let entry = Entry::new(&key.name, option, &value, origin);
        entries.insert(key.name, entry);
    }
    Ok(entries)
}

/// Whether an option is chosen by its name alone.
fn takes_none(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::SetTrue)
}

impl Entry {
    fn new(name: &str, option: &Arg, value: &str, origin: Origin) -> Self {
        let argument = if takes_none(option) {
            (value == "true").then(|| format!("--{name}"))
        } else {
            Some(format!("--{name}={value}"))
        };
        Self { origin, argument }
    }
}

/// The error, with where the options that it names come from.
fn with_origins(error: clap::Error, command: &Command, entries: &BTreeMap<String, Entry>) -> UsageError {
    let mut named = Vec::new();
    for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
        match error.get(kind) {
            Some(ContextValue::String(one)) => named.push(one.clone()),
            Some(ContextValue::Strings(some)) => named.extend(some.iter().cloned()),
            _ => {}
        }
    }
    let is_named = |name: &str, option: &Arg| named.iter().any(|named| *named == option.to_string() || named == name);
    let named = options(command).filter(|(name, option)| is_named(name, option));
    let origins = named.filter_map(|(name, _)| Some(format!("--{name} is from {}", entries.get(name)?.origin)));
    let origins = origins.collect();
    UsageError::Clap { error, origins }
}

/// The options as a file that chooses the same, with where each comes from.
pub(super) fn file_of(chosen: &[Chosen]) -> String {
    let chosen = chosen.iter().filter(|option| option.name != FILE);
    let lines: Vec<_> = chosen
        .map(|Chosen { name, value, origin }| match value {
            Some(value) => (format!("{name}: {}", value_text(value)), origin.to_string()),
            None => (format!("# {name}:"), "not set".to_owned()),
        })
        .collect();
    let width =
        lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width < 50).max().unwrap_or_default();
    let lines: Vec<_> = lines.iter().map(|(line, origin)| format!("{line:width$}  # {origin}\n")).collect();
    lines.concat()
}

fn value_text(value: &str) -> String {
    let is_other =
        value.parse::<u64>().is_ok_and(|number| number.to_string() == value) || value.parse::<bool>().is_ok();
    if is_other { value.to_owned() } else { scalar(value) }
}

/// Variables that look like an option and are none.
pub(super) fn unknown_variables(
    chosen: &[Chosen],
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<String> {
    let known: Vec<_> = chosen.iter().map(|option| variable(&option.name)).collect();
    let mut hints = Vec::new();
    let names = variables.filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| name.starts_with("OARLOCK_") && !known.contains(name)) {
        if let Some(meant) = crate::nearest::nearest(&name, known.iter().map(String::as_str)) {
            hints.push(format!("{name} is set and is no option: did you mean {meant}?"));
        }
    }
    hints.sort();
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let mut command = Command::new("run").args([
            Arg::new("plugins").long("plugins"),
            Arg::new("config").long("config"),
            Arg::new("shards").long("shards"),
            Arg::new("call_cpu").long("call-cpu"),
            Arg::new("once").long("once").action(ArgAction::SetTrue),
        ]);
        command.build();
        command
    }

    fn arguments(entries: BTreeMap<String, Entry>) -> Vec<String> {
        entries.into_values().filter_map(|entry| entry.argument).collect()
    }

    #[test]
    fn a_file_says_what_arguments_say() {
        let text = "plugins: /a b\nshards: 3\ncall-cpu: '1s'\nonce: true\n";
        let entries = entries_of_text(text, Path::new("f"), &command()).unwrap();
        assert_eq!(entries["shards"].origin.to_string(), "f line 2");
        assert_eq!(arguments(entries), ["--call-cpu=1s", "--once", "--plugins=/a b", "--shards=3"]);
        for (text, nothing) in [("once: false\n", "false"), ("# all as it is\n", "a comment"), ("", "empty")] {
            let entries = entries_of_text(text, Path::new("f"), &command()).unwrap();
            assert_eq!(arguments(entries), [""; 0], "{nothing}");
        }
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        for (text, expected) in [
            ("plugins: x\nshard: 1\n", "line 2: unknown option `shard`; did you mean `shards`?"),
            (
                "config: other.yaml\n",
                "line 1: unknown option `config`; expected one of `plugins`, `shards`, `call-cpu`, `once`",
            ),
            ("once: 1\n", "line 1: `once`: expected true or false, found a number"),
            ("shards: [1]\n", "line 1: `shards`: expected a text, a number, or true or false, found a list"),
            ("shards:\n", "line 1: `shards`: expected a text, a number, or true or false, found nothing"),
            ("- shards\n", "line 1: expected the fields of a configuration, found a list"),
        ] {
            let error = entries_of_text(text, Path::new("f"), &command()).map(|_| ()).unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_variable_has_the_name_of_its_option() {
        let read = |name: &str| match name {
            "OARLOCK_CALL_CPU" => Some("2s".into()),
            "OARLOCK_ONCE" => Some("1".into()),
            "OARLOCK_SHARDS" => Some(OsString::new()),
            _ => None,
        };
        let entries = entries_of_environment(&command(), read).unwrap();
        assert_eq!(entries["call-cpu"].origin.to_string(), "OARLOCK_CALL_CPU");
        assert_eq!(arguments(entries), ["--call-cpu=2s", "--once"]);
        let error = entries_of_environment(&command(), |name| (name == "OARLOCK_ONCE").then(|| "maybe".into()));
        let error = error.map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "OARLOCK_ONCE: expected true or false, found `maybe`");
    }

    #[test]
    fn what_is_chosen_is_written_as_a_file_that_says_the_same() {
        let chosen = |name: &str, value: Option<&str>, origin| Chosen {
            name: name.into(),
            value: value.map(Into::into),
            origin,
        };
        let text = file_of(&[
            chosen("config", Some("f"), Origin::CommandLine),
            chosen("plugins", Some(": # x"), Origin::CommandLine),
            chosen("shards", Some("3"), Origin::File { path: "f".into(), line: 7 }),
            chosen("call-cpu", None, Origin::Default),
            chosen("once", Some("true"), Origin::Environment("OARLOCK_ONCE".into())),
        ]);
        let expected = "plugins: \": # x\"  # command line\n\
                        shards: 3         # f line 7\n\
                        # call-cpu:       # not set\n\
                        once: true        # OARLOCK_ONCE\n";
        assert_eq!(text, expected);
        let again = entries_of_text(&text, Path::new("f"), &command()).unwrap();
        assert_eq!(arguments(again), ["--once", "--plugins=: # x", "--shards=3"]);
    }

    #[test]
    fn a_misspelt_variable_is_told_of() {
        let chosen = [Chosen { name: "call-cpu".into(), value: None, origin: Origin::Default }];
        let set = ["OARLOCK_CAL_CPU", "OARLOCK_CALL_CPU", "OARLOCK_SERVICE_HOST", "PATH"];
        let hints = unknown_variables(&chosen, set.iter().map(|name| (name.into(), OsString::new())));
        assert_eq!(hints, ["OARLOCK_CAL_CPU is set and is no option: did you mean OARLOCK_CALL_CPU?"]);
    }
}
