//! Practice: throw-away counterparts of the systems drbot talks to, on loopback only, as strict as the
//! real ones. Takes folders and ports; gives running servers that end with their owner.

pub mod bot;
pub mod demo;
pub mod page;
pub mod port;
pub mod scratch;
pub mod slack;
pub mod story;
pub mod trial;
pub mod trouble;
