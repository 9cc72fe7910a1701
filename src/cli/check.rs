//! `drbot check`: takes runbook files, and a configuration if given; says every fault, changes nothing.

use std::path::Path;
use std::process::ExitCode;

use super::{fail, say};
use crate::parse::catalog::Site;
use crate::{app, config};

pub(super) fn run(path: Option<&Path>, runbooks: &Path) -> ExitCode {
    let (folder, site) = match path.map(config::load) {
        None => (runbooks.to_owned(), Site::default()),
        Some(Err(faults)) => return fail(&faults.join("\n")),
        Some(Ok(config)) => (config.runbooks.folder.clone(), app::site(&config)),
    };
    match app::load_catalog(&folder, &site) {
        Err(faults) => return fail(&faults.join("\n")),
        Ok(catalog) => {
            for loaded in catalog.runbooks.values() {
                let state =
                    loaded.unusable.as_ref().map_or_else(|| "ok".to_owned(), |why| format!("cannot run here: {why}"));
                say(&format!("{}: {state}", loaded.runbook.runbook));
            }
        }
    }
    ExitCode::SUCCESS
}
