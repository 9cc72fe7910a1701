//! Alert sources, one file each. Takes a proved body; gives the group in our own words.

pub mod alertmanager;
