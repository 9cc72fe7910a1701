//! The command line: one file per subcommand. Takes argv; gives an exit code and texts for the operator.

mod check;
mod coverage;
mod demo;
mod import;
mod practice;
mod schema;
mod serve;
mod target;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "drbot", version, about = "Disaster recovery from a chat channel")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the bot.
    Serve {
        /// The configuration file.
        #[arg(long, env = "DRBOT_CONFIG", default_value = "drbot.yaml")]
        config: PathBuf,
    },
    /// Check runbook files, and with --config the configuration too.
    Check {
        #[arg(long, env = "DRBOT_CONFIG")]
        config: Option<PathBuf>,
        /// The runbook folder, when no configuration is given.
        #[arg(long, default_value = "commands")]
        runbooks: PathBuf,
    },
    /// Say what answers for each line of the team's page.
    Coverage(coverage::Coverage),
    /// Draft runbook files from a page that people wrote.
    Import(import::Import),
    /// The whole of it to play with in a browser; with --script, the main job played and judged.
    Demo(demo::Demo),
    /// A chat to practise with, on this machine only, in front of a drbot of your own.
    Practice(practice::Chat),
    /// Print the JSON Schema of a kind of file, for an editor.
    Schema {
        #[arg(value_enum)]
        file: schema::File,
    },
    /// Play the recorded cases beside the runbooks, offline.
    Test(test::Test),
    /// Things about targets.
    #[command(subcommand)]
    Target(Target),
}

#[derive(Subcommand)]
enum Target {
    /// Print the SQL that makes a target's roles, grants and ledger.
    Sql {
        /// The target's name in the configuration.
        name: String,
        /// The database the SQL is for.
        #[arg(long, default_value = "postgres")]
        database: String,
    },
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve { config } => serve::run(&config),
        Command::Check { config, runbooks } => check::run(config.as_deref(), &runbooks),
        Command::Coverage(args) => coverage::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Demo(demo) => demo::run(&demo),
        Command::Practice(chat) => practice::run(&chat),
        Command::Schema { file } => schema::run(file),
        Command::Test(args) => test::run(&args),
        Command::Target(Target::Sql { name, database }) => target::sql(&name, &database),
    }
}

/// Says what was wrong, on standard error, and fails.
#[expect(clippy::print_stderr, reason = "the operator's terminal")]
fn fail(text: &str) -> ExitCode {
    eprintln!("{}", text.trim_end());
    ExitCode::FAILURE
}

/// Says something on standard output.
#[expect(clippy::print_stdout, reason = "the operator's terminal")]
fn say(text: &str) {
    println!("{}", text.trim_end());
}
