//! `drbot check`: takes runbook files, and a configuration if given; says every fault and
//! every warning, changes nothing.

use std::path::Path;
use std::process::ExitCode;

use super::{fail, say};
use crate::parse::catalog::{self, Site};
use crate::{app, config};

pub(super) fn run(path: Option<&Path>, runbooks: &Path) -> ExitCode {
    let (folder, site) = match path.map(config::load) {
        None => (runbooks.to_owned(), Site::default()),
        Some(Err(faults)) => return fail(&faults.join("\n")),
        Some(Ok(config)) => (config.runbooks.folder.clone(), app::site(&config)),
    };
    let files = match app::read_runbooks(&folder) {
        Ok(files) => files,
        Err(faults) => return fail(&faults.join("\n")),
    };
    match catalog::load(&files, &site) {
        Err(faults) => return fail(&faults.join("\n")),
        Ok(catalog) => {
            for warning in catalog::warnings(&files, &catalog, &site) {
                say(&format!("warning: {warning}"));
            }
            for loaded in catalog.runbooks.values() {
                let state =
                    loaded.unusable.as_ref().map_or_else(|| "ok".to_owned(), |why| format!("cannot run here: {why}"));
                say(&format!("{}: {state}", loaded.runbook.runbook));
            }
        }
    }
    ExitCode::SUCCESS
}
