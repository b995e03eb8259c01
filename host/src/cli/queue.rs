//! `oarlock queue`.

use std::process::ExitCode;
use std::time::Duration;

use super::ask::{Ask, in_path};
use super::parse::number;
use super::plugins::{object, span};
use super::table::Table;
use crate::api::{Delayed, InCall, Queue, Queues, Waiting, Why, WhyLater};

/// Say what the plugins of a host that runs are called for now, what waits and what is due later.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only what this one is called for.
    plugin: Option<String>,

    /// How many objects of each sort to tell of a plugin, at most.
    #[arg(long, value_name = "N", default_value = "100", value_parser = number(1..=1000))]
    limit: u16,

    #[command(flatten)]
    ask: Ask,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        super::to_its_end(async move {
            let of = self.plugin.as_ref().map(|name| format!("plugins/{}/", in_path(name))).unwrap_or_default();
            let shown = self.ask.get(&format!("/api/v1/{of}queue?limit={}", self.limit), list).await?;
            super::say(&shown)?;
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn list(Queues { queues, .. }: &Queues, wide: bool) -> String {
    let mut table = Table::new(["PLUGIN", "OBJECT", "STATE", "TIME", "ATTEMPT", if wide { "WHY" } else { "" }]);
    let mut left_out = 0;
    for Queue { plugin, in_call, waiting, waiting_left_out, delayed, delayed_left_out } in queues {
        let mut add = |cells: [String; 4], why: &str| {
            table.add([plugin.clone()].into_iter().chain(cells).chain(wide.then(|| why.to_owned())));
        };
        for InCall { object: of, step, for_seconds } in in_call {
            add([object(of), "in a call".to_owned(), time(*for_seconds), "-".to_owned()], step);
        }
        for Waiting { object: of, why, attempt } in waiting {
            let why = match why {
                Why::Changed => "it has changed",
                Why::Backlog => "first list, reload or delay",
            };
            add([object(of), "waiting".to_owned(), "-".to_owned(), attempt.to_string()], why);
        }
        for Delayed { object: of, why, due_in_seconds, attempt, .. } in delayed {
            let why = match why {
                WhyLater::Retry => "its last call has failed",
                WhyLater::Requeue => "as the plugin or the operator wants it",
                WhyLater::Held => "left alone until then",
            };
            add([object(of), "later".to_owned(), format!("in {}", time(*due_in_seconds)), attempt.to_string()], why);
        }
        left_out += waiting_left_out + delayed_left_out;
    }
    if table.is_empty() {
        return "nothing is in a call, waits or is due later\n".to_owned();
    }
    let more = if left_out > 0 { format!("and {left_out} more\n") } else { String::new() };
    table.text("") + &more
}

fn time(seconds: f64) -> String {
    span(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
