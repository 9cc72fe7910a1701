//! The commands: one documented definition per verb, from which parsing, help, usage and
//! did-you-mean follow. Takes nothing; `parse::slash` reads it.

use std::collections::BTreeMap;

/// What a person asked for, with the incident they named, if they named one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub incident: Option<u64>,
    pub command: Command,
}

/// Every verb with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Help { verb: Option<String> },
    Status,
    Detect { runbook: Option<String> },
    Runbooks,
    Plan { runbook: String, given: BTreeMap<String, String> },
    Ack { alert: Option<String> },
    Declare { title: String },
    Show { step: Option<String> },
    Run { runbook: String, given: BTreeMap<String, String> },
    Next { choice: Option<usize> },
    Retry { step: Option<String> },
    Resume,
    Approve { id: String },
    Deny { id: String, reason: String },
    Withdraw { id: String },
    Skip { step: String, reason: String },
    Abort { reason: String },
    Undo { step: Option<String> },
    Done { step: String, evidence: String },
    Settle { step: String, happened: bool },
    Note { text: String },
    Timeline,
    Checklist,
    Whoami,
    Verify { id: String },
}

/// How one argument is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// One word; must be given.
    Word(&'static str),
    /// One word; may be left out.
    Maybe(&'static str),
    /// The rest of the line; must be given.
    Rest(&'static str),
    /// `key=value` pairs up to the end; may be none.
    Pairs(&'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// The definition of a verb.
#[derive(Debug)]
pub struct Verb {
    pub name: &'static str,
    pub args: &'static [Arg],
    pub summary: &'static str,
    pub example: &'static str,
    /// Whether the verb acts on an incident, which may be named in front (`INC-12`).
    pub on_incident: bool,
}

/// All verbs in the order help shows them.
pub const VERBS: &[Verb] = &[
    Verb {
        name: "status",
        args: &[],
        on_incident: false,
        example: "status",
        summary: "run every detection and post what is wrong, with figures",
    },
    Verb {
        name: "detect",
        args: &[Arg::Maybe("RUNBOOK")],
        on_incident: false,
        example: "detect database-performance",
        summary: "run one scenario's detection now and post its figures",
    },
    Verb {
        name: "runbooks",
        args: &[],
        on_incident: false,
        example: "runbooks",
        summary: "list the runbooks, what they need and which cannot run here",
    },
    Verb {
        name: "ack",
        args: &[Arg::Maybe("ALERT")],
        on_incident: false,
        example: "ack 1f2e3d4c",
        summary: "say that you are looking at an alert; without ALERT, at the only new one in the channel",
    },
    Verb {
        name: "declare",
        args: &[Arg::Rest("RUNBOOK or title")],
        on_incident: false,
        example: "declare database-performance",
        summary: "open an incident and start its recovery clock",
    },
    Verb {
        name: "plan",
        args: &[Arg::Word("RUNBOOK"), Arg::Pairs("name=value")],
        on_incident: false,
        example: "plan database-performance longer_than=5m",
        summary: "show what a runbook would do now, without doing it",
    },
    Verb {
        name: "run",
        args: &[Arg::Word("RUNBOOK"), Arg::Pairs("name=value")],
        on_incident: true,
        example: "run database-performance longer_than=5m",
        summary: "start a runbook in the incident",
    },
    Verb {
        name: "show",
        args: &[Arg::Maybe("STEP")],
        on_incident: true,
        example: "show cancel-long-queries",
        summary: "show the incident, or what a step did",
    },
    Verb {
        name: "next",
        args: &[Arg::Maybe("CHOICE")],
        on_incident: true,
        example: "next 2",
        summary: "say what is next, go on after a pause, or choose the way with this number",
    },
    Verb {
        name: "retry",
        args: &[Arg::Maybe("STEP")],
        on_incident: true,
        example: "retry cancel-long-queries",
        summary: "try the step again that did not go through",
    },
    Verb { name: "resume", args: &[], on_incident: true, example: "resume", summary: "go on after a pause" },
    Verb {
        name: "approve",
        args: &[Arg::Word("ID")],
        on_incident: false,
        example: "approve 1f2e3d4c5b6a",
        summary: "agree to exactly the action with this id",
    },
    Verb {
        name: "deny",
        args: &[Arg::Word("ID"), Arg::Rest("reason")],
        on_incident: false,
        example: "deny 1f2e3d4c5b6a the import must finish first",
        summary: "stop the action with this id",
    },
    Verb {
        name: "withdraw",
        args: &[Arg::Word("ID")],
        on_incident: false,
        example: "withdraw 1f2e3d4c5b6a",
        summary: "take back your own request for approval",
    },
    Verb {
        name: "skip",
        args: &[Arg::Word("STEP"), Arg::Rest("reason")],
        on_incident: true,
        example: "skip look not needed here",
        summary: "leave out the current step",
    },
    Verb {
        name: "abort",
        args: &[Arg::Rest("reason")],
        on_incident: true,
        example: "abort another way was found",
        summary: "end the run; nothing more of it runs",
    },
    Verb {
        name: "undo",
        args: &[Arg::Maybe("STEP")],
        on_incident: true,
        example: "undo payments-optional",
        summary: "take back a step that says how, the newest first",
    },
    Verb {
        name: "done",
        args: &[Arg::Word("STEP"), Arg::Rest("evidence")],
        on_incident: true,
        example: "done call-provider ticket 4711",
        summary: "report a manual step as done, with evidence",
    },
    Verb {
        name: "settle",
        args: &[Arg::Word("STEP"), Arg::OneOf(&["happened", "not"])],
        on_incident: true,
        example: "settle cancel-long-queries happened",
        summary: "say whether an unknown step happened; two people must say the same",
    },
    Verb {
        name: "note",
        args: &[Arg::Rest("text")],
        on_incident: true,
        example: "note customers informed",
        summary: "write a line into the incident's timeline",
    },
    Verb {
        name: "timeline",
        args: &[],
        on_incident: true,
        example: "timeline",
        summary: "list what happened, with times",
    },
    Verb {
        name: "checklist",
        args: &[],
        on_incident: true,
        example: "checklist",
        summary: "list what is left after the recovery, and who is asked until then",
    },
    Verb {
        name: "verify",
        args: &[Arg::Word("ID")],
        on_incident: false,
        example: "verify 1f2e3d4c5b6a",
        summary: "say what the store knows about an approval id",
    },
    Verb {
        name: "whoami",
        args: &[],
        on_incident: false,
        example: "whoami",
        summary: "say who you are to drbot and what you may approve",
    },
    Verb {
        name: "help",
        args: &[Arg::Maybe("VERB")],
        on_incident: false,
        example: "help run",
        summary: "list the commands, or explain one",
    },
];

/// The definition called `name`.
#[must_use]
pub fn verb(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|v| v.name == name)
}

impl Verb {
    /// `/dr run [INC-n] RUNBOOK [name=value ...]`.
    #[must_use]
    pub fn usage(&self) -> String {
        let incident = if self.on_incident { " [INC-n]" } else { "" };
        let args: String = self
            .args
            .iter()
            .map(|a| match a {
                Arg::Word(n) | Arg::Rest(n) => format!(" {n}"),
                Arg::Maybe(n) => format!(" [{n}]"),
                Arg::Pairs(n) => format!(" [{n} ...]"),
                Arg::OneOf(words) => format!(" {}", words.join("|")),
            })
            .collect();
        format!("/dr {}{incident}{args}", self.name)
    }
}
