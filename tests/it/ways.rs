//! Every step four ways: once, twice, failing, undone. `offline` does it for every step of every shipped runbook on
//! the decisions alone; `real` for every changing step on the running bot.

mod back;
mod backups;
mod books;
mod corruption;
mod drill;
mod entry;
mod failing;
mod indexes;
mod loss;
pub mod offline;
mod real;
mod recovery;
mod restore;
mod site;
mod smoke;
mod switchback;
mod troubles;
mod twice;
mod walk;
