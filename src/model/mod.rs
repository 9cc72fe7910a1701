//! The nouns: plain data and total functions. Takes nothing from any other stage; every stage
//! speaks in these words. No clock, no randomness, no I/O: times and ids are arguments.

pub mod agreed;
pub mod alert;
pub mod approval;
pub mod ask;
pub mod backups;
pub mod case;
pub mod catalog;
pub mod chain;
pub mod command;
pub mod deadline;
pub mod effect;
pub mod event;
pub mod expect;
pub mod flow;
pub mod form;
pub mod http;
pub mod id;
pub mod inbound;
pub mod incident;
pub mod message;
pub mod outcome;
pub mod param;
pub mod person;
pub mod plan;
pub mod process;
pub mod run;
pub mod runbook;
pub mod schedule;
pub mod schema;
pub mod shared;
pub mod statement;
pub mod time;
pub mod world;
