//! What came back from outside. Taken from executors and chat clients; given to `decide`.

use serde::{Deserialize, Serialize};

use super::approval::TargetIdentity;
use super::effect::CardKind;
use super::expect::Rows;

/// The verdict of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Pass,
    Fail,
    CouldNot,
}

/// One check's answer with the figure that decided it, or the reason it could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    pub id: String,
    pub verdict: Verdict,
    pub figure: String,
    /// It is shown and decides nothing.
    #[serde(default)]
    pub evidence: bool,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    Done {
        rows: Rows,
    },
    /// Certain: nothing was sent.
    NotStarted {
        why: String,
    },
    /// Certain: nothing remained (rolled back or refused by the target).
    Failed {
        why: String,
    },
    /// Nobody can tell from here.
    Unknown {
        why: String,
    },
}

/// Everything an effect can come back with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Checked(Vec<Checked>),
    Previewed {
        rows: Rows,
        identity: TargetIdentity,
    },
    /// The preview could not be made; nothing was touched.
    NoPreview {
        why: String,
    },
    Ended(Ended),
    /// A probe's answer: `None` if it could not tell.
    Probed {
        happened: Option<bool>,
        figure: String,
    },
    /// A card stands in the channel under this id; `upto` is the last event it
    /// covers, `more` says that lines are left for another one.
    Posted {
        card: CardKind,
        channel: String,
        ts: String,
        upto: u64,
        more: bool,
    },
    /// Chat refused for good; the text says why.
    PostFailed {
        card: CardKind,
        why: String,
    },
    /// The incident asked for is there, under this number.
    Opened {
        number: u64,
    },
    /// A short message or form left, or could not and never will.
    Told,
}
