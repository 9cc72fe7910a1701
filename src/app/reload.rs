//! Keeps the catalog in step with the runbook folder. Takes the folder and what the configuration adds;
//! gives the engine a whole new catalog, or the old one with what is wrong with the files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{info, warn};

use super::load_catalog;
use crate::clock;
use crate::engine::Engine;
use crate::model::catalog::{Catalog, Stale};
use crate::model::inbound::{Delivery, Input};
use crate::parse::catalog::Site;

/// How often the folder is looked at. It is read whole: a dozen small files.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The folder and what a catalog of it depends on.
pub(super) struct Folder {
    pub(super) folder: PathBuf,
    pub(super) site: Site,
    pub(super) engine: Engine,
    /// Names this process in the keys of its deliveries.
    pub(super) owner: String,
}

/// Looks at the folder for as long as the process runs. A file caught half written is a fault for one
/// look: nothing is used of a folder that does not load whole.
pub(super) async fn watch(shelf: Folder) {
    let mut round = 0_u64;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = shelf.engine.catalog();
        let found = read(&shelf.folder, &shelf.site).await;
        let next = match found {
            Ok(fresh) if fresh.runbooks == now.runbooks && fresh.shared == now.shared && now.stale.is_none() => {
                continue;
            }
            Ok(fresh) => fresh,
            Err(faults) if now.stale.as_ref().is_some_and(|s| s.faults == faults) => continue,
            Err(faults) => {
                warn!(faults = faults.join("\n"), "the runbook files do not load; the runbooks from before are used");
                let since = now.stale.as_ref().map_or_else(clock::now, |s| s.since);
                let (shared, runbooks) = (now.shared.clone(), now.runbooks.clone());
                shelf.engine.use_catalog(Catalog { shared, runbooks, stale: Some(Stale { since, faults }) });
                continue;
            }
        };
        info!(runbooks = next.runbooks.len(), "the runbook files are read again");
        let fresh = next.standing(Some(&now));
        shelf.engine.use_catalog(next);
        round += 1;
        for up in fresh {
            let key = format!("up/{}/{round}/{up}", shelf.owner);
            if let Err(e) = shelf.engine.submit(Delivery { key, input: Input::Up(up.clone()) }).await {
                warn!(error = %e, %up, "what is new did not start; it does at the next start");
            }
        }
    }
}

async fn read(folder: &Path, site: &Site) -> Result<Catalog, Vec<String>> {
    let (folder, site) = (folder.to_owned(), site.clone());
    let read = tokio::task::spawn_blocking(move || load_catalog(&folder, &site)).await;
    read.unwrap_or_else(|e| Err(vec![e.to_string()]))
}
