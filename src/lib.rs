//! drbot: disaster recovery from a chat channel.
//!
//! The data path, in order: `webhook` takes a request, `verify` proves who sent it, `parse` turns it
//! into an input of our own, `decide` says what follows, `engine` lets `decide` and `persist` meet in
//! one transaction, `worker` carries out what was decided through `execute` and `post`, and what came
//! back is an input again. `model` holds the nouns. A stage imports `model` and itself; only the shell
//! (`cli app engine worker webhook`, and `config clock telemetry practice`) imports stages.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod decide;
pub mod engine;
pub mod execute;
pub mod model;
pub mod parse;
pub mod persist;
pub mod post;
pub mod practice;
pub mod redact;
pub mod telemetry;
pub mod verify;
pub mod webhook;
pub mod worker;
