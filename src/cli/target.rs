//! `drbot target sql`: takes a target's name; prints the roles, grants and ledger it needs.

use std::process::ExitCode;

use super::say;
use crate::execute::sql;

pub(super) fn sql(name: &str, database: &str) -> ExitCode {
    say(&sql::grants(name, database));
    ExitCode::SUCCESS
}
