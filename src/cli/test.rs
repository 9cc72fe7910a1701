//! `drbot test`: takes the runbooks and the recorded cases beside them; plays each case offline and says for each
//! whether all came as recorded, else the first difference.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{fail, say};
use crate::app;
use crate::model::runbook::Catalog;
use crate::parse::catalog::{self, Site};
use crate::parse::yaml;
use crate::practice::trial;
use crate::practice::trial::record::{Record, Recorded};

#[derive(Args)]
pub(super) struct Test {
    /// The runbook folder; the cases are in its folder `tests`.
    #[arg(long, default_value = "commands")]
    runbooks: PathBuf,
    /// Only cases of this runbook.
    #[arg(long)]
    only: Option<String>,
}

pub(super) fn run(args: &Test) -> ExitCode {
    match look(args) {
        Ok(told) => {
            say(&told.lines.join("\n"));
            if told.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(faults) => fail(&faults.join("\n")),
    }
}

/// What is said about the cases, and how many failed.
struct Told {
    lines: Vec<String>,
    failed: usize,
}

fn look(args: &Test) -> Result<Told, Vec<String>> {
    let files = app::read_runbooks(&args.runbooks)?;
    let catalog = catalog::load(&files, &Site::default())?;
    let folder = args.runbooks.join("tests");
    let records = app::read_runbooks(&folder).map_err(|_| vec![format!("{}: there are no cases", folder.display())])?;
    let (mut told, mut all, mut seen) = (Told { lines: Vec::new(), failed: 0 }, 0, BTreeSet::new());
    for (name, text) in &records {
        let record: Record = yaml::read_shown(name, text).map_err(|why| vec![why])?;
        if args.only.as_ref().is_some_and(|only| *only != record.runbook) {
            continue;
        }
        for case in &record.cases {
            all += 1;
            let catalog = known(&catalog, &record.runbook, case);
            let result = catalog.and_then(|catalog| trial::play(&catalog, &record.runbook, case));
            let how = if result.is_ok() { "ok" } else { "FAILED" };
            told.lines.push(format!("{}: {}: {how}", Path::new("tests").join(name).display(), case.name));
            if let Err(why) = result {
                told.failed += 1;
                told.lines.push(format!("    {}", why.replace('\n', "\n    ")));
            }
        }
        seen.insert(record.runbook);
    }
    let books = files.keys().filter_map(|f| f.strip_suffix(".yaml")).filter(|n| !n.starts_with('_'));
    let bare: Vec<&str> = books.filter(|n| !seen.contains(*n) && args.only.is_none()).collect();
    if !bare.is_empty() {
        told.lines.push(format!("without a case: {}", bare.join(", ")));
    }
    told.lines.push(format!("{all} cases, {} failed", told.failed));
    Ok(told)
}

/// The catalog of an installation whose parameters are those of the case.
fn known(catalog: &Catalog, runbook: &str, case: &Recorded) -> Result<Catalog, String> {
    let mut catalog = catalog.clone();
    let loaded = catalog.runbooks.get_mut(runbook).ok_or_else(|| format!("there is no runbook `{runbook}`"))?;
    loaded.only_known(&case.given)?;
    loaded.defaults.clone_from(&case.given);
    Ok(catalog)
}
