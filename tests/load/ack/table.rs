//! The table of figures. Takes what was measured; gives medians and ratios as text.

use std::fmt::Write as _;
use std::time::Duration;

use crate::bot::{Commits, Crash};
use crate::client::Shot;

/// Everything measured, one entry a round.
#[derive(Default)]
pub struct Figures {
    pub drbot: Vec<Shot>,
    pub bare: Vec<Shot>,
    pub rows: Vec<f64>,
    pub batch: Vec<Commits>,
    pub crash: Option<Crash>,
}

fn median<T: PartialOrd + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut all: Vec<T> = values.collect();
    all.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    all.get(all.len() / 2).copied()
}

fn ms(time: Option<Duration>) -> f64 {
    time.unwrap_or_default().as_secs_f64() * 1_000.0
}

fn mib(kib: Option<u64>) -> f64 {
    kib.unwrap_or(0) as f64 / 1024.0
}

impl Figures {
    /// The table; medians over the rounds, ratios within each round first.
    #[must_use]
    pub fn text(&self) -> String {
        let mut t = String::new();
        let _ = writeln!(
            t,
            "{:<34}{:>12}{:>12}{:>12}{:>12}{:>12}",
            "", "requests/s", "p50 ms", "p99 ms", "CPU us", "peak MiB"
        );
        for (name, shots) in [("drbot", &self.drbot), ("bare handler, signature only", &self.bare)] {
            let _ = writeln!(
                t,
                "{name:<34}{:>12.0}{:>12.2}{:>12.2}{:>12.1}{:>12.1}",
                median(shots.iter().map(|s| s.rate)).unwrap_or(0.0),
                ms(median(shots.iter().map(|s| s.p50))),
                ms(median(shots.iter().map(|s| s.p99))),
                ms(median(shots.iter().map(|s| s.cost))) * 1_000.0,
                mib(median(shots.iter().map(|s| s.peak))),
            );
        }
        let rows = median(self.rows.iter().copied()).unwrap_or(0.0);
        let _ = writeln!(t, "{:<34}{rows:>12.0}", "store alone, same rows");
        let rates = || self.drbot.iter().map(|s| s.rate);
        let to_bare: Vec<f64> = rates().zip(&self.bare).map(|(a, b)| a / b.rate).collect();
        let to_rows: Vec<f64> = rates().zip(&self.rows).map(|(a, c)| a / c).collect();
        for (name, all) in [("drbot / bare handler", to_bare), ("drbot / store alone", to_rows)] {
            let each: Vec<String> = all.iter().map(|r| format!("{r:.3}")).collect();
            let middle = median(all.iter().copied()).unwrap_or(0.0);
            let _ = writeln!(t, "{name:<34}{middle:>12.3}   rounds: {}", each.join(" "));
        }
        let batch = median(self.batch.iter().map(|b| b.rows)).unwrap_or(0);
        let _ = writeln!(t, "{:<34}{batch:>12}", "notes per commit, about");
        let _ = writeln!(t, "{:<34}{:>12.1}", "idle MiB", mib(median(self.batch.iter().map(|b| b.idle))));
        let _ = writeln!(t, "{:<34}{:>12.0}", "ready after start, ms", ms(median(self.batch.iter().map(|b| b.ready))));
        if let Some(c) = &self.crash {
            let _ = writeln!(
                t,
                "kill -9 under load: {} acknowledged, {} stored, each once; 64 chains hold over {} events",
                c.acks, c.rows, c.events
            );
        }
        t
    }
}
