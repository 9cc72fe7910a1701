//! From verified bytes to inputs of our own. Takes `Verified` requests and runbook files; foreign
//! types end here.

pub mod alert;
pub mod catalog;
mod lint;
mod look;
mod near;
pub mod slack;
pub mod slash;
pub mod yaml;
