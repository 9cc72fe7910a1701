//! Slack: rendering in `blocks` and `modal`, its limits in `limits`, the Web API in `client`.

mod answer;
pub mod blocks;
pub mod client;
mod draft;
pub mod limits;
pub mod modal;
mod text;
