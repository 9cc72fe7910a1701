//! Every step four ways: once, twice, failing, undone. `offline` does it for every step of every shipped runbook on
//! the decisions alone.

mod back;
mod failing;
mod offline;
mod twice;
