//! Messages as values: what is said, not how a platform draws it. Every text inside is plain and
//! untrusted; the platform's renderer escapes it.

use serde::{Deserialize, Serialize};

use super::id::ButtonId;

/// One message. `notify` carries what decides, because notifications and screen readers show only it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub notify: String,
    pub parts: Vec<Part>,
}

/// A piece of a message, top to bottom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Title(String),
    /// A paragraph of text runs.
    Text(Vec<Run>),
    /// Label and value pairs, two columns.
    Facts(Vec<(String, String)>),
    /// Exact text in a fixed-width font, complete.
    Code(String),
    /// Small print.
    Small(String),
    Buttons(Vec<Button>),
    Rule,
}

/// A run of text in one style.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    Plain(String),
    Bold(String),
    Code(String),
    /// A person who is to notice: chat rings their bell. `account` is the first one they have.
    Person {
        name: String,
        account: String,
    },
}

/// A button; its id is single-use and says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    pub id: ButtonId,
    pub label: String,
    pub style: Style,
}

/// How a button looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    Plain,
    Primary,
    Danger,
}

impl Message {
    /// A message that is only a text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Message {
        let text = text.into();
        Message { parts: vec![Part::Text(runs(&text))], notify: text }
    }
}

/// A text with `code` between backticks as runs; a backtick without its partner stays as it is.
#[must_use]
pub fn runs(text: &str) -> Vec<Run> {
    let pieces: Vec<&str> = text.split('`').collect();
    let whole = pieces.len() % 2 == 1;
    let mut runs = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        match (whole && i % 2 == 1, piece.is_empty()) {
            (_, true) => {}
            (true, false) => runs.push(Run::Code((*piece).to_owned())),
            (false, false) if whole => runs.push(Run::Plain((*piece).to_owned())),
            (false, false) => return vec![Run::Plain(text.to_owned())],
        }
    }
    if runs.is_empty() { vec![Run::Plain(text.to_owned())] } else { runs }
}

/// What goes back to the person who spoke, in the answer to their request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Nothing to say in the answer itself.
    Nothing,
    /// Only the speaker sees it.
    Private(Message),
    /// A form stays open with this error.
    FormError(String),
    /// This incident was opened, or was there already.
    Opened(u64),
    /// The worker may start.
    Go,
    /// The worker may not start.
    NoGo(String),
}
