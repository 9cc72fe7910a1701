//! From verified bytes to inputs of our own. Takes `Verified` requests and runbook files; foreign
//! types end here.

pub mod alert;
pub mod catalog;
pub mod coverage;
pub mod draft;
mod include;
mod lint;
mod look;
mod near;
pub mod page;
mod shared;
pub mod slack;
pub mod slash;
pub mod yaml;
