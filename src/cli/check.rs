//! `drbot check`: takes runbook files, and a configuration if given; says every fault, changes nothing.

use std::path::Path;
use std::process::ExitCode;

use super::{fail, say};
use crate::parse::catalog::Site;
use crate::verify::slack::SlackSecrets;
use crate::{app, config};

pub(super) fn run(path: Option<&Path>, runbooks: &Path) -> ExitCode {
    let (folder, site, mut faults) = match path.map(config::load) {
        None => (runbooks.to_owned(), Site::default(), Vec::new()),
        Some(Err(faults)) => return fail(&faults.join("\n")),
        Some(Ok(config)) => {
            let faults = SlackSecrets::new(config.slack.signing_secrets.clone())
                .err()
                .map(|e| format!("slack.signing_secrets: {e}"));
            (config.runbooks.folder.clone(), app::site(&config), faults.into_iter().collect())
        }
    };
    match app::load_catalog(&folder, &site) {
        Err(more) => faults.extend(more),
        Ok(catalog) => {
            for loaded in catalog.runbooks.values() {
                let state =
                    loaded.unusable.as_ref().map_or_else(|| "ok".to_owned(), |why| format!("cannot run here: {why}"));
                say(&format!("{}: {state}", loaded.runbook.runbook));
            }
        }
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { fail(&faults.join("\n")) }
}
