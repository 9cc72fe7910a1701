//! `drbot schema`: takes the kind of file; prints its JSON Schema, which editors complete and check by.
//! It is derived from the types that the loader fills, so the two cannot say different things.

use std::process::ExitCode;

use clap::ValueEnum;
use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::{fail, say};
use crate::config::Config;
use crate::model::runbook::{Runbook, Shared};
use crate::practice::trial::record::Record;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum File {
    /// A runbook in `commands/`.
    Runbook,
    /// `commands/_shared.yaml`.
    Shared,
    /// Recorded cases in `commands/tests/`.
    Cases,
    /// The configuration.
    Config,
}

/// The schema of a kind of file. Draft 7 is what editors' YAML servers know best.
fn of(file: File) -> Schema {
    let generator = SchemaSettings::draft07().into_generator();
    match file {
        File::Runbook => generator.into_root_schema_for::<Runbook>(),
        File::Shared => generator.into_root_schema_for::<Shared>(),
        File::Cases => generator.into_root_schema_for::<Record>(),
        File::Config => generator.into_root_schema_for::<Config>(),
    }
}

pub(super) fn run(file: File) -> ExitCode {
    match serde_json::to_string_pretty(&of(file)) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(e) => fail(&format!("the schema cannot be written: {e}")),
    }
}
