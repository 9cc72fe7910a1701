//! `drbot serve`: takes a configuration; runs until told to stop.

use std::path::Path;
use std::process::ExitCode;

use super::fail;
use crate::{app, config, telemetry};

pub(super) fn run(path: &Path) -> ExitCode {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(faults) => return fail(&faults.join("\n")),
    };
    if let Err(e) = telemetry::start(&config.log.filter) {
        return fail(&e);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return fail(&format!("no runtime: {e}")),
    };
    match runtime.block_on(app::serve(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(&format!("drbot: {e:#}")),
    }
}
