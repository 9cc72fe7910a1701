//! Programs to run and how they ended, as data. Takes nothing; there is no shell in it: a program is
//! a path and its arguments, a pipeline is programs whose output feeds the next one.

use serde::{Deserialize, Serialize};

use super::time::Span;

/// One program with the exact bytes of its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Absolute: nothing is searched for.
    pub path: String,
    #[serde(default)]
    pub args: Vec<String>,
}

/// Programs, each reading what the one before it writes. It succeeds only if every one of them does.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    pub programs: Vec<Program>,
    pub timeout: Span,
    /// All that the programs see besides a fixed `PATH`, `LANG` and the execution's mark.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// What the first program reads; nothing if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Names for the parts of each line of output, which tabs separate; one called `line` if it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

impl std::fmt::Debug for Pipeline {
    /// The environment and the input may hold secrets, so only names and sizes are shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("Pipeline")
            .field("programs", &self.programs)
            .field("timeout", &self.timeout)
            .field("env", &names)
            .field("stdin", &self.stdin.as_ref().map(String::len))
            .finish()
    }
}

/// How one program ended: by itself with a code, or by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

impl Exit {
    /// Whether it ended by itself with 0.
    #[must_use]
    pub fn good(self) -> bool {
        self.code == Some(0)
    }
}

/// What ran, and what it wrote: standard output of the last program and standard error of all, in the
/// order written, redacted, with whatever is not plain text shown as escapes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ran {
    /// In the order of the programs.
    pub exits: Vec<Exit>,
    /// The first 64 KiB.
    pub head: String,
    /// The last 64 KiB of what is not in `head`.
    pub tail: String,
    /// All bytes written.
    pub bytes: u64,
    /// All lines written; a last one without its end counts.
    pub lines: u64,
    /// Where the output is kept, if it could be.
    pub file: Option<String>,
    /// Bytes written that are not in the file; the file says so too.
    pub not_kept: u64,
    /// Why the output is not, or not all, in a file, if that is not for its size.
    pub file_fault: Option<String>,
    /// Processes that were still there after the programs and were ended.
    pub strays: u64,
}

impl Ran {
    /// Whether every program ended with 0.
    #[must_use]
    pub fn good(&self) -> bool {
        !self.exits.is_empty() && self.exits.iter().all(|e| e.good())
    }

    /// Which program failed and how, for people; empty if none did.
    #[must_use]
    pub fn why(&self) -> String {
        let bad = self.exits.iter().enumerate().filter(|(_, e)| !e.good());
        let said = bad.map(|(i, e)| match (e.code, e.signal) {
            (Some(code), _) => format!("program {} ended with code {code}", i + 1),
            (None, Some(signal)) => format!("program {} was ended by signal {signal}", i + 1),
            (None, None) => format!("program {} ended in an unknown way", i + 1),
        });
        said.collect::<Vec<_>>().join(", ")
    }

    /// The end of the output.
    #[must_use]
    pub fn last(&self) -> &str {
        if self.tail.is_empty() { &self.head } else { &self.tail }
    }
}

/// How a pipeline ended. What that means for the step is its effect class's affair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessEnd {
    /// Certain: no program ran.
    NotStarted { why: String },
    /// All programs ended by themselves; nothing of them is left.
    Exited(Ran),
    /// The time was up and everything was ended; nothing of them is left.
    TimedOut(Ran),
    /// Something ran and it cannot be said how it ended, or it could not be ended.
    Lost { why: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Exit = Exit { code: Some(0), signal: None };

    #[test]
    fn one_bad_program_spoils_the_pipeline() {
        let ran = |exits: &[Exit]| Ran { exits: exits.to_vec(), ..Ran::default() };
        assert!(ran(&[GOOD, GOOD]).good());
        assert!(!ran(&[]).good(), "nothing ran, so nothing succeeded");
        let killed = Exit { code: None, signal: Some(9) };
        let mixed = ran(&[Exit { code: Some(3), signal: None }, GOOD, killed]);
        assert!(!mixed.good());
        assert_eq!(mixed.why(), "program 1 ended with code 3, program 3 was ended by signal 9");
    }

    #[test]
    fn debug_shows_no_values() {
        let env = vec![("TOKEN".to_owned(), "hunter2".to_owned())];
        let stdin = Some("hunter3".to_owned());
        let shown = format!("{:?}", Pipeline { programs: vec![], timeout: Span(1), env, stdin, columns: vec![] });
        assert!(shown.contains("TOKEN") && !shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn a_file_with_an_unknown_word_is_refused() {
        assert!(serde_json::from_str::<Program>(r#"{"path":"/bin/true","shell":true}"#).is_err());
        assert!(serde_json::from_str::<Pipeline>(r#"{"programs":[],"timeout":"1s","cwd":"/"}"#).is_err());
    }
}
