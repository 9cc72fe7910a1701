//! How fast drbot acknowledges durably. Takes no arguments for the whole measurement; gives a table and
//! an exit code that is not zero when an acknowledged note is missing or a chain is broken.
//!
//! `ack only drbot|bare|store [SECONDS]` measures one of the three, for a profiler. `ack bare PORT` is the
//! bare handler, started by the measurement itself.

mod bare;
mod bot;
mod client;
mod requests;
mod rows;
mod table;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use table::Figures;

/// Rounds of the whole measurement; the three kinds alternate within each.
const ROUNDS: usize = 3;
/// How long each measurement counts.
const COUNTED: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(&words)));
    match done {
        Ok(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "ack: {e:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(words: &[&str]) -> Result<String> {
    match words {
        [] => whole().await,
        ["bare", port] => bare::serve(port.parse()?).await.map(|()| String::new()),
        ["only", kind] => only(kind, COUNTED).await,
        ["only", kind, seconds] => only(kind, Duration::from_secs(seconds.parse::<u64>()?.min(120))).await,
        _ => bail!("usage: ack | ack only drbot|bare|store [SECONDS] | ack bare PORT"),
    }
}

async fn whole() -> Result<String> {
    let mut all = Figures::default();
    for round in 1..=ROUNDS {
        let mut life = bot::Life::start(round).await?;
        let drbot = life.measure(COUNTED).await?;
        if round == ROUNDS {
            all.crash = Some(life.crash().await?);
        }
        all.batch.push(life.batch().await?);
        drop(life);
        let batch = all.batch.last().map_or(64, |b| b.rows);
        all.bare.push(bare::measure(COUNTED).await?);
        all.rows.push(rows::measure(COUNTED, batch).await?);
        all.drbot.push(drbot);
    }
    Ok(all.text())
}

async fn only(kind: &str, counted: Duration) -> Result<String> {
    Ok(match kind {
        "drbot" => {
            let mut life = bot::Life::start(1).await?;
            let shot = life.measure(counted).await?;
            format!("drbot {shot}\nbatch {:?}\n", life.batch().await?)
        }
        "bare" => format!("bare {}\n", bare::measure(counted).await?),
        "store" => format!("store {:.0}/s\n", rows::measure(counted, 64).await?),
        _ => bail!("`{kind}` is none of drbot, bare, store"),
    })
}
