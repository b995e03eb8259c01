//! `oarlock plugins`.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use super::ask::{Ask, in_path};
use super::table::Table;
use crate::api::{Calls, Detail, Error, Object, Plugin, PluginState, Plugins, Reload, ReloadResult};
use crate::text;

/// Say how it stands with the plugins of a host that runs, or with one of them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// All about this one, with its last errors and reloads.
    plugin: Option<String>,

    #[command(flatten)]
    ask: Ask,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        super::to_its_end(async move {
            let shown = match &self.plugin {
                Some(name) => {
                    let path = format!("/api/v1/plugins/{}", in_path(name));
                    self.ask.get(&path, |detail: &Detail, _| describe(detail)).await?
                }
                None => self.ask.get("/api/v1/plugins", list).await?,
            };
            super::say(&shown)?;
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn list(Plugins { now, plugins }: &Plugins, wide: bool) -> String {
    if plugins.is_empty() {
        return "the host has no plugins\n".to_owned();
    }
    let mut table = if wide {
        Table::new([
            "NAME",
            "STATE",
            "DIGEST",
            "SINCE",
            "WAITING",
            "LATER",
            "FAILING",
            "CALLS/S",
            "P50",
            "P99",
            "CALLS",
            "FAILED",
            "WATCHES",
            "LAST ERROR",
        ])
    } else {
        Table::new(["NAME", "STATE", "DIGEST", "SINCE", "WAITING", "FAILING", "CALLS/S", "P99", "FAILED"])
    };
    for plugin in plugins {
        let Plugin { name, state, in_force, queue, calls, last_error, .. } = plugin;
        let digest = in_force.as_ref().map_or("-", |version| short(&version.digest)).to_owned();
        let since = in_force.as_ref().and_then(|version| version.since.as_deref());
        let since = since.map_or("-".to_owned(), |since| age(now, since));
        let head = [name.clone(), state_text(*state).to_owned(), digest, since, queue.waiting.to_string()];
        let failing = queue.failing.to_string();
        let Calls { total, failed, per_second, p50_seconds, p99_seconds, .. } = calls;
        let (rate, p50, p99) = (format!("{per_second}"), time(*p50_seconds), time(*p99_seconds));
        if wide {
            let watches = in_force.as_ref().map(|version| version.watches.join(", ")).unwrap_or_default();
            let error = last_error.as_ref().map(|error| format!("{}: {}", object(&error.object), error.reason));
            let more = [queue.delayed.to_string(), failing, rate, p50, p99, total.to_string(), failed.to_string()];
            table.add(head.into_iter().chain(more).chain([watches, error.unwrap_or_default()]));
        } else {
            table.add(head.into_iter().chain([failing, rate, p99, failed.to_string()]));
        }
    }
    let mut shown = table.text("");
    let problems = plugins.iter().filter_map(|plugin| Some((&plugin.name, plugin.problem.as_ref()?)));
    for (name, problem) in problems {
        // Writing to a string does not fail.
        let _ = write!(shown, "\n{}: {}\n", text::one_line(name), text::paragraph(problem));
    }
    shown
}

fn describe(detail: &Detail) -> String {
    let Detail { now, plugin, errors, reloads, .. } = detail;
    let mut shown = String::new();
    let mut add = |label: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a string does not fail.
            let _ = writeln!(shown, "{label:<17} {}", text::paragraph(value));
        }
    };
    add("Name:", &plugin.name);
    add("State:", state_text(plugin.state));
    add("Problem:", plugin.problem.as_deref().unwrap_or_default());
    if let Some(version) = &plugin.in_force {
        add("Digest:", &version.digest);
        if let Some(since) = &version.since {
            add("In force since:", &format!("{since} ({} ago)", age(now, since)));
        }
        if let (Some(name), Some(version)) = (&version.described_name, &version.described_version) {
            add("Calls itself:", &format!("{name} {version}"));
        }
        add("Kind:", &version.kind);
        add("Watches:", &version.watches.join(", "));
        add("Owns:", &version.owns.join(", "));
        add("Reads:", &version.reads.join(", "));
        add("Finalizer:", version.finalizer.as_deref().unwrap_or_default());
        add("Calls at a time:", &version.concurrency.to_string());
        add("Acts as:", version.service_account.as_deref().unwrap_or_default());
        add("Falls back to:", version.falls_back_to.as_deref().unwrap_or_default());
    }
    let queue = &plugin.queue;
    let texts = [
        (queue.waiting, "waiting"),
        (queue.in_call, "in a call"),
        (queue.delayed, "later"),
        (queue.failing, "failing"),
    ];
    add("Queue:", &texts.map(|(number, what)| format!("{number} {what}")).join(", "));
    let Calls { total, failed, per_second, p50_seconds, p99_seconds, .. } = &plugin.calls;
    add("Calls:", &format!("{total}, {failed} failed"));
    let (p50, p99) = (time(*p50_seconds), time(*p99_seconds));
    add("In the last minute:", &format!("{per_second} calls a second, p50 {p50}, p99 {p99}"));

    let mut table = Table::new(["AGO", "TIMES", "OBJECT", "WHY"]);
    for Error { object: of, reason, count, last, .. } in errors {
        table.add([age(now, last), count.to_string(), object(of), reason.clone()]);
    }
    if !table.is_empty() {
        shown += "Last errors:\n";
        shown += &table.text("  ");
    }
    let mut table = Table::new(["AGO", "RESULT", "IN FORCE", "WHY"]);
    for Reload { at, result, digest, reason, .. } in reloads {
        let result = match result {
            ReloadResult::Loaded => "loaded",
            ReloadResult::Refused => "refused",
            ReloadResult::RolledBack => "rolled back",
        };
        let digest = digest.as_deref().map_or("-", short).to_owned();
        table.add([age(now, at), result.to_owned(), digest, reason.clone().unwrap_or_default()]);
    }
    if !table.is_empty() {
        shown += "Last reloads:\n";
        shown += &table.text("  ");
    }
    shown
}

fn state_text(state: PluginState) -> &'static str {
    match state {
        PluginState::Refused => "file refused",
        PluginState::Paused => "paused",
        PluginState::LeftBehind => "left behind",
        PluginState::RolledBack => "rolled back",
        PluginState::Waiting => "waiting",
        PluginState::Loading => "loading",
        PluginState::OnProbation => "on probation",
        PluginState::Ready => "ready",
    }
}

/// An object for people.
pub(super) fn object(Object { kind, namespace, name, .. }: &Object) -> String {
    let namespace = namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{kind} {namespace}{name}")
}

/// As many digits as people read.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// How long before `now` that was, as kubectl would say it.
fn age(now: &str, at: &str) -> String {
    let parse = |text: &str| humantime::parse_rfc3339(text).unwrap_or(SystemTime::UNIX_EPOCH);
    let age = parse(now).duration_since(parse(at)).unwrap_or_default();
    span(age)
}

/// A time in the two largest of its units, of which there may be one.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The time of a call.
fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 1e-3 => format!("{:.0}µs", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.1}ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1}s"),
    }
}
