//! The grammar of commands. Takes the text after `/dr`; gives what was asked, or a text that says what
//! was wrong and what to write instead. Pure; everything follows from `model::command::VERBS`.

use std::collections::BTreeMap;

use super::near::distance;
use crate::model::command::{Arg, Asked, Command, VERBS, Verb, verb};

/// The longest text that is read; a longer one is refused.
pub const LONGEST: usize = 4_000;

/// The values read for a verb's arguments.
#[derive(Default)]
struct Got {
    words: Vec<String>,
    pairs: BTreeMap<String, String>,
}

/// Reads a command. An empty text is `help`.
///
/// # Errors
/// A text for the person, ending in the usage or in a suggestion.
pub fn parse(text: &str) -> Result<Asked, String> {
    if text.len() > LONGEST {
        return Err(format!(
            "That command is {} characters long; at most {LONGEST} are read. Nothing was done.",
            text.len()
        ));
    }
    let text = text.trim();
    let (name, rest) = word(text);
    if name.is_empty() {
        return Ok(Asked { incident: None, command: Command::Help { verb: None } });
    }
    let name = name.to_lowercase();
    let definition = verb(&name).ok_or_else(|| unknown(&name))?;
    let (incident, rest) = match incident_in_front(rest) {
        Some((number, rest)) if definition.on_incident => (Some(number), rest),
        _ => (None, rest),
    };
    let got = read(definition, rest)?;
    build(definition.name, got).map(|command| Asked { incident, command })
}

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(char::is_whitespace).map_or((text, ""), |(w, rest)| (w, rest.trim_start()))
}

fn incident_in_front(text: &str) -> Option<(u64, &str)> {
    let (first, rest) = word(text);
    let digits = first.get(..4).filter(|p| p.eq_ignore_ascii_case("inc-")).and(first.get(4..))?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().map(|n| (n, rest))
}

fn unknown(name: &str) -> String {
    let near = VERBS.iter().map(|v| (distance(name, v.name), v.name)).min().filter(|(d, _)| *d <= 2);
    let hint = near.map_or(String::new(), |(_, v)| format!(" Did you mean `/dr {v}`?"));
    format!("There is no command `{name}`.{hint} `/dr help` lists all commands.")
}

fn read(definition: &Verb, text: &str) -> Result<Got, String> {
    let usage = || format!("Usage: `{}`, for example `/dr {}`.", definition.usage(), definition.example);
    let (mut got, mut rest) = (Got::default(), text.trim());
    for arg in definition.args {
        match arg {
            Arg::Word(name) | Arg::Maybe(name) => {
                let (w, after) = word(rest);
                if w.is_empty() && matches!(arg, Arg::Word(_)) {
                    return Err(format!("`/dr {}` needs {name}. {}", definition.name, usage()));
                }
                if !w.is_empty() {
                    got.words.push(w.to_owned());
                }
                rest = after;
            }
            Arg::OneOf(words) => {
                let (w, after) = word(rest);
                if !words.contains(&w) {
                    return Err(format!("`{w}` is not one of {}. {}", words.join(", "), usage()));
                }
                got.words.push(w.to_owned());
                rest = after;
            }
            Arg::Rest(name) => {
                if rest.is_empty() {
                    return Err(format!("`/dr {}` needs {name}. {}", definition.name, usage()));
                }
                got.words.push(std::mem::take(&mut rest).to_owned());
            }
            Arg::Pairs(_) => {
                for pair in std::mem::take(&mut rest).split_whitespace() {
                    let (key, value) =
                        pair.split_once('=').ok_or_else(|| format!("`{pair}` is not name=value. {}", usage()))?;
                    if got.pairs.insert(key.to_owned(), value.to_owned()).is_some() {
                        return Err(format!("`{key}` was given twice. {}", usage()));
                    }
                }
            }
        }
    }
    if rest.is_empty() { Ok(got) } else { Err(format!("`{rest}` is too much. {}", usage())) }
}

fn build(name: &str, got: Got) -> Result<Command, String> {
    let Got { words, pairs } = got;
    let mut words = words.into_iter();
    let mut take = || words.next().unwrap_or_default();
    Ok(match name {
        "status" => Command::Status,
        "detect" => Command::Detect { runbook: Some(take()).filter(|r| !r.is_empty()) },
        "runbooks" => Command::Runbooks,
        "ack" => Command::Ack { alert: Some(take()).filter(|a| !a.is_empty()) },
        "declare" => Command::Declare { title: take() },
        "plan" => Command::Plan { runbook: take(), given: pairs },
        "run" => Command::Run { runbook: take(), given: pairs },
        "show" => Command::Show { step: Some(take()).filter(|s| !s.is_empty()) },
        "next" => Command::Next { choice: choice(&take())? },
        "retry" => Command::Retry { step: Some(take()).filter(|s| !s.is_empty()) },
        "resume" => Command::Resume,
        "withdraw" => Command::Withdraw { id: take() },
        "skip" => Command::Skip { step: take(), reason: take() },
        "abort" => Command::Abort { reason: take() },
        "undo" => Command::Undo { step: Some(take()).filter(|s| !s.is_empty()) },
        "approve" => Command::Approve { id: take() },
        "deny" => Command::Deny { id: take(), reason: take() },
        "done" => Command::Done { step: take(), evidence: take() },
        "settle" => Command::Settle { step: take(), happened: take() == "happened" },
        "note" => Command::Note { text: take() },
        "timeline" => Command::Timeline,
        "checklist" => Command::Checklist,
        "verify" => Command::Verify { id: take() },
        "whoami" => Command::Whoami,
        "help" => {
            let verb_name = Some(take().to_lowercase()).filter(|s| !s.is_empty());
            if let Some(n) = verb_name.as_deref().filter(|n| verb(n).is_none()) {
                return Err(unknown(n));
            }
            Command::Help { verb: verb_name }
        }
        other => return Err(unknown(other)),
    })
}

/// The number of a choice, from 1.
fn choice(word: &str) -> Result<Option<usize>, String> {
    match word.parse() {
        _ if word.is_empty() => Ok(None),
        Ok(n) if n > 0 => Ok(Some(n)),
        _ => Err(format!("`{word}` is not the number of a choice, such as 1. Usage: /dr next [CHOICE]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_of_every_verb_parses_to_that_verb() {
        for v in VERBS {
            let asked = parse(v.example).unwrap_or_else(|e| panic!("{}: {e}", v.example));
            let shown = format!("{:?}", asked.command).to_lowercase();
            assert!(shown.starts_with(v.name), "{shown} for {}", v.name);
        }
    }

    #[test]
    fn an_incident_may_stand_in_front() {
        let asked = parse("note INC-12 customers informed").unwrap();
        assert_eq!(asked, Asked { incident: Some(12), command: Command::Note { text: "customers informed".into() } });
        assert_eq!(parse("note INC-x y").unwrap().incident, None);
        assert_eq!(parse("run inc-3 database-performance a=1").unwrap().incident, Some(3));
        assert!(parse("note INC-99999999999999999999 x").unwrap().incident.is_none());
    }

    #[test]
    fn mistakes_are_explained() {
        let table = [
            ("stauts", "Did you mean `/dr status`?"),
            ("frobnicate", "`/dr help` lists all commands"),
            ("run", "needs RUNBOOK"),
            ("run x y", "`y` is not name=value"),
            ("run x a=1 a=2", "`a` was given twice"),
            ("settle x maybe", "`maybe` is not one of happened, not"),
            ("deny abc", "needs reason"),
            ("status now", "`now` is too much"),
            ("help frob", "no command `frob`"),
        ];
        for (text, part) in table {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(parse(&"x".repeat(LONGEST + 1)).unwrap_err().contains("Nothing was done"));
    }

    #[test]
    fn empty_is_help() {
        assert_eq!(parse("  ").unwrap().command, Command::Help { verb: None });
    }
}
