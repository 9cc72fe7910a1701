//! Carrying out: takes a question, a job or a probe; gives what the target said. Knows nothing of
//! chat, approvals or the store, and never decides whether something should be done.

pub mod http;
pub mod process;
pub mod sql;
