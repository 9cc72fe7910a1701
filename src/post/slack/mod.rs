//! Slack: rendering in `blocks`, its limits in `limits`, the Web API in `client`.

mod answer;
pub mod blocks;
pub mod client;
mod draft;
pub mod limits;
mod text;
