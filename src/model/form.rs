//! The fields of a form that asks a person for values. Takes what is asked; gives plain data that a chat
//! draws and whose ids come back with what was filled in.

use serde::{Deserialize, Serialize};

/// Most options that one list may have; Slack allows no more.
pub const OPTIONS: usize = 100;
/// The longest value of an option, in UTF-16 units; Slack's documents differ, and this always fits.
pub const OPTION: usize = 75;
/// Most fields of one form: Slack allows 100 blocks, and one says what the form is for.
pub const FIELDS: usize = 99;

/// One thing that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Comes back with the value, and names the place of a complaint.
    pub id: String,
    pub label: String,
    pub hint: String,
    /// May stay empty.
    pub optional: bool,
    /// What stands there already.
    pub value: Option<String>,
    pub input: FieldInput,
}

/// How a field is filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldInput {
    /// Typed, in one line.
    Line,
    /// Exactly one of these.
    OneOf(Vec<String>),
}

impl FieldInput {
    /// A list of these values where a chat can show one; else they are typed.
    #[must_use]
    pub fn one_of(values: &[String]) -> FieldInput {
        let fit = |v: &String| !v.trim().is_empty() && v.encode_utf16().count() <= OPTION;
        if (1..=OPTIONS).contains(&values.len()) && values.iter().all(fit) {
            FieldInput::OneOf(values.to_vec())
        } else {
            FieldInput::Line
        }
    }
}
