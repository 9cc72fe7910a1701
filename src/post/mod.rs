//! Chat platforms: messages as values become what a platform draws, and reach it. Takes messages; gives
//! what the platform answered.

pub mod rate;
pub mod slack;
