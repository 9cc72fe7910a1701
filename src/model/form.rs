//! The fields of a form that asks a person for values. Takes what is asked; gives plain data that a chat
//! draws and whose ids come back with what was filled in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::id::ButtonId;
use super::person::{PersonId, Speaker};

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
    /// One or several of these values, each with the text that people read; several are joined by commas.
    Pick { many: bool, options: Vec<(String, String)> },
}

/// Lists that are fetched for a person who wants to start a runbook and has to choose from them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picking {
    /// The button that opens the form; also names this wish in the keys of its questions.
    pub token: ButtonId,
    pub runbook: String,
    pub given: BTreeMap<String, String>,
    pub by: Speaker,
    pub person: PersonId,
    pub channel: String,
    /// The message in whose thread it was asked, if it was.
    pub thread: Option<String>,
    /// What each parameter can be chosen from, once it is known: value and text.
    pub lists: BTreeMap<String, Option<Vec<(String, String)>>>,
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

#[cfg(test)]
mod tests {
    use crate::model::effect::AskForm;
    use crate::model::inbound::{FormPurpose, Place};
    use crate::model::param::Param;

    #[test]
    fn what_was_stored_before_there_were_fields_is_still_read() {
        let form = r#"{"token":"t","title":"Deny","explain":"x","label":"Why?","submit":"Deny"}"#;
        let form: AskForm = serde_json::from_str(form).unwrap();
        assert_eq!((form.fields, form.otherwise), (vec![], None));
        let place: Place = serde_json::from_str(r#"{"channel":"C1"}"#).unwrap();
        assert_eq!(place.trigger, None);
        let purpose: FormPurpose = serde_json::from_str(r#"{"done":"call"}"#).unwrap();
        assert_eq!(purpose, FormPurpose::Done("call".into()));
        let param: Param = serde_json::from_str(r#"{"type":"integer"}"#).unwrap();
        assert!(param.ask.is_none() && !param.many());
    }
}
