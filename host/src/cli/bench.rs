//! `oarlock bench`.

use std::process::ExitCode;
use std::time::Duration;

use indicatif::HumanBytes;

use super::offline::{Offline, Ready};
use super::parse::duration;
use crate::plugin::AotCache;
use crate::text;
use crate::trial::{self, Calls, Measured};

/// Measure how fast a plugin is called for objects from files, one call after the other, without a cluster.
///
/// What it asks for is neither checked nor done. A call that fails ends it, with code 1.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    offline: Offline,

    /// For how long it is called for each object, half of it with a new instance for each call.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    time: Duration,

    /// Print a list of JSON objects, one for each object.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        super::to_its_end(self.bench())
    }

    async fn bench(self) -> anyhow::Result<ExitCode> {
        let Ready { plugin, given, targets } = self.offline.ready(AotCache::off()).await?;
        let mut all = Vec::new();
        for target in &targets {
            all.push(trial::measure(&plugin, &given, target, self.time).await?);
        }
        let text = if self.json {
            text::json(&serde_json::to_string_pretty(&all)?).into_owned() + "\n"
        } else {
            let texts: Vec<_> = all.iter().map(describe).collect();
            text::lines(&texts.join("\n")).into_owned()
        };
        super::say(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Figures for people.
fn describe(measured: &Measured) -> String {
    let Measured { object, object_bytes, warm, fresh, compile_ms, start_ms, memory } = measured;
    let size = HumanBytes(*object_bytes as u64);
    let compiled = compile_ms.map(|ms| format!("{ms:.0} ms, ")).unwrap_or_default();
    let mut lines = vec![
        format!("{object}, {size} of JSON"),
        format!(
            "  {:<14}{:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "", "calls/s", "p50 us", "p90 us", "p99 us", "max us", "calls"
        ),
    ];
    lines.extend(warm.iter().map(|calls| row("warm", calls)));
    lines.push(row("new instance", fresh));
    lines.push(format!(
        "  compiled in {compiled}then started in {start_ms:.1} ms; {} of memory",
        HumanBytes(*memory as u64)
    ));
    lines.join("\n") + "\n"
}

fn row(name: &str, calls: &Calls) -> String {
    let Calls { count, per_second, p50_us, p90_us, p99_us, max_us } = calls;
    format!("  {name:<14}{per_second:>10.0} {p50_us:>10.1} {p90_us:>10.1} {p99_us:>10.1} {max_us:>10.1} {count:>10}")
}
