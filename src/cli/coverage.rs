//! `drbot coverage`: takes the page, the runbooks and where the table goes; writes the table. With `--check`
//! it writes nothing and fails for everything that is claimed wrongly, by nobody, or told stale.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{fail, say};
use crate::app;
use crate::parse::catalog::{self, Site};
use crate::parse::coverage::{self, table};

#[derive(Args)]
pub(super) struct Coverage {
    /// The runbook folder.
    #[arg(long, default_value = "commands")]
    runbooks: PathBuf,
    /// The page whose lines are to be answered.
    #[arg(long, default_value = "docs/runbook-page.md")]
    page: PathBuf,
    /// The table.
    #[arg(long, default_value = "docs/coverage.md")]
    table: PathBuf,
    /// Write nothing; fail for lines that nobody claims, ids that do not exist, and a stale table.
    #[arg(long)]
    check: bool,
    /// Sections that may still be without a claim, such as S3,S1.4.
    #[arg(long, value_delimiter = ',', requires = "check")]
    allow_missing: Vec<String>,
}

pub(super) fn run(args: &Coverage) -> ExitCode {
    match look(args) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(faults) => fail(&faults.join("\n")),
    }
}

fn read(path: &Path) -> Result<String, Vec<String>> {
    std::fs::read_to_string(path).map_err(|e| vec![format!("{}: {e}", path.display())])
}

fn look(args: &Coverage) -> Result<String, Vec<String>> {
    let page = read(&args.page)?;
    let files = app::read_runbooks(&args.runbooks)?;
    let catalog = catalog::load(&files, &Site::default())?;
    let known = coverage::coverage(&page, &files, &catalog);
    let name = args.page.display().to_string();
    let mut faults = known.faults(&name);
    let wanted = table(&known);
    if !args.check {
        if !faults.is_empty() {
            return Err(faults);
        }
        std::fs::write(&args.table, wanted).map_err(|e| vec![format!("{}: {e}", args.table.display())])?;
        let left = known.missing(&[]).len();
        return Ok(format!("{} written; {left} lines are claimed by nobody", args.table.display()));
    }
    faults.extend(known.missing(&args.allow_missing).iter().map(|l| {
        let short: String = l.line.text.trim().chars().take(60).collect();
        format!(
            "{name}: line {}: nobody claims `{}/{}` ({short}): put the id under `covers` of the step or check that \
             does it, under `replaces` with the reason, or into _shared.yaml",
            l.line.at, l.section, l.number
        )
    }));
    faults.extend(
        known
            .idle(&args.allow_missing)
            .into_iter()
            .map(|a| format!("--allow-missing {a}: nothing of it is missing: remove it")),
    );
    let there = std::fs::read_to_string(&args.table).unwrap_or_default();
    if there != wanted {
        let line = there.lines().zip(wanted.lines()).take_while(|(a, b)| a == b).count() + 1;
        faults.push(format!(
            "{}: line {line}: stale: run `drbot coverage` and commit what it writes",
            args.table.display()
        ));
    }
    let all = known.answered().len();
    if faults.is_empty() {
        Ok(format!("{all} lines looked at, none left out beyond what is allowed"))
    } else {
        Err(faults)
    }
}
