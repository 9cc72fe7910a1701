//! `drbot demo`: serves the demonstration's page until interrupted. With `--script` it takes what to
//! sabotage, prints the story and its claims, and exits by them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use super::{fail, say};
use crate::practice::demo as page;
use crate::practice::story::{self, Order};

const EXITS: &str = "Exit code with --script: 0 if every claim held, 1 if one did not.
  --sabotage dedupe     ends with 1: the repeated delivery is decided anew, and the claim that a repeat
                        gets the stored answer fails
  --sabotage statement  ends with 0 only if the changed statement was refused and nothing ran
  --sabotage database   ends with 0 only if the step was not done, nothing is unknown and the run paused";

#[derive(Args)]
#[command(after_help = EXITS)]
pub(super) struct Demo {
    /// Play the story as a script, without questions.
    #[arg(long)]
    script: bool,
    /// Break one thing on purpose, to see that it is noticed.
    #[arg(long, value_enum, requires = "script")]
    sabotage: Option<Sabotage>,
    /// Leave the folder with the database, the bot's store and its log behind.
    #[arg(long)]
    keep: bool,
    /// The port of the page on 127.0.0.1; 0 is any.
    #[arg(long, default_value_t = 8090, conflicts_with = "script")]
    port: u16,
    /// The runbook folder.
    #[arg(long, default_value = "commands")]
    runbooks: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Sabotage {
    /// The stored answer of the declare is deleted before its repeat arrives.
    Dedupe,
    /// The approved statement is changed in the bot's store before it starts.
    Statement,
    /// PostgreSQL is stopped before the second person agrees.
    Database,
}

pub(super) fn run(demo: &Demo) -> ExitCode {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(e) => return fail(&format!("this program does not find itself: {e}")),
    };
    let sabotage = demo.sabotage.map(|s| match s {
        Sabotage::Dedupe => story::Sabotage::Dedupe,
        Sabotage::Statement => story::Sabotage::Statement,
        Sabotage::Database => story::Sabotage::Database,
    });
    let cast = if demo.script { story::STORY } else { page::CAST };
    let order = Order { program, runbooks: demo.runbooks.clone(), sabotage, keep: demo.keep, cast };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return fail(&format!("no runtime: {e}")),
    };
    if !demo.script {
        let served = runtime.block_on(async {
            tokio::select! {
                served = page::play(&order, demo.port, say) => served,
                () = interrupted() => Ok(()),
            }
        });
        // What the page's tasks still hold ends here: processes first, then the folder.
        drop(runtime);
        return served.map_or_else(|e| fail(&format!("drbot demo: {e:#}")), |()| ExitCode::SUCCESS);
    }
    let whole = runtime.block_on(async {
        tokio::select! {
            whole = story::play(&order, say) => whole,
            // Dropping the story ends its processes and removes its folder.
            () = interrupted() => false,
        }
    });
    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(super) async fn interrupted() {
    let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
}
