//! What an executor would make of a recorded answer. Takes a question, a job or a preview with its answer; gives
//! the outcome, by the same expectations that are held against real targets.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Answer, Answers};
use crate::model::approval::TargetIdentity;
use crate::model::ask::Deed;
use crate::model::effect::{Job, Question};
use crate::model::expect::{Expect, Rows};
use crate::model::http::HttpAnswer;
use crate::model::outcome::{Checked, Ended, Outcome, Verdict};
use crate::model::runbook::EffectClass;
use crate::model::statement::fill;
use crate::model::time::Span;

use super::stage::BEGINS;

/// The verdicts of a list of questions.
pub(super) fn checked(list: &[Question], answers: &Answers) -> Result<Outcome, String> {
    let one = |q: &Question| {
        let answer = answers.get(&q.id).ok_or_else(|| format!("no answer is recorded for the check `{}`", q.id))?;
        let (verdict, figure) = verdict(q, answer);
        Ok(Checked { id: q.id.clone(), verdict, figure, evidence: q.evidence })
    };
    if let Some(odd) = answers.keys().find(|id| list.iter().all(|q| q.id != **id)) {
        return Err(format!("an answer is recorded for `{odd}`, which is not asked here"));
    }
    Ok(Outcome::Checked(list.iter().map(one).collect::<Result<_, String>>()?))
}

fn verdict(q: &Question, answer: &Answer) -> (Verdict, String) {
    let silent = q.expect.answer.as_ref().is_some_and(|a| a.silence_fails);
    match (&answer.dark, &answer.unknown) {
        (Some(why), _) if q.expect.reachable => return (Verdict::Fail, why.clone()),
        (_, Some(why)) if q.expect.reachable || silent => return (Verdict::Fail, why.clone()),
        (Some(why), _) | (_, Some(why)) => return (Verdict::CouldNot, why.clone()),
        (None, None) => {}
    }
    let rows = rows_of(&q.deed, answer);
    let mut values = q.values.clone();
    if matches!(q.deed, Deed::Http(_)) {
        let got = http(answer);
        values.extend([("status".into(), got.status.to_string()), ("latency".into(), got.latency.human())]);
        values.insert("said".into(), String::new());
    }
    values.extend(rows.iter().flat_map(Rows::first));
    let count = rows.as_ref().map_or(0, Rows::count);
    values.entry("count".into()).or_insert_with(|| count.to_string());
    match holds(&q.expect, &q.deed, answer) {
        Ok(true) => (Verdict::Pass, fill(&q.figure, &values)),
        Ok(false) => (Verdict::Fail, fill(&q.figure, &values)),
        Err(why) => (Verdict::CouldNot, why),
    }
}

fn holds(expect: &Expect, deed: &Deed, answer: &Answer) -> Result<bool, String> {
    if matches!(deed, Deed::Http(_)) && !expect.answer.clone().unwrap_or_default().holds(&http(answer))? {
        return Ok(false);
    }
    if expect.rows.is_none() && expect.value.is_none() {
        return Ok(true);
    }
    expect.holds(&rows_of(deed, answer)?)
}

fn http(answer: &Answer) -> HttpAnswer {
    HttpAnswer {
        status: answer.status.unwrap_or(200),
        latency: answer.latency.unwrap_or(Span(80)),
        body: answer.json.as_ref().map(ToString::to_string).unwrap_or_default(),
        truncated: false,
        json: answer.json.clone(),
        at: BEGINS,
    }
}

fn rows_of(deed: &Deed, answer: &Answer) -> Result<Rows, String> {
    if let Some(list) = &answer.rows {
        let columns: BTreeSet<&String> = list.iter().flat_map(BTreeMap::keys).collect();
        let cell = |row: &BTreeMap<String, Option<String>>, c: &&String| row.get(*c).cloned().flatten();
        let rows = list.iter().map(|row| columns.iter().map(|c| cell(row, c)).collect()).collect();
        return Ok(Rows { columns: columns.into_iter().cloned().collect(), rows, beyond: 0 });
    }
    match deed {
        Deed::Http(calls) => match calls.first() {
            Some(call) => http(answer).rows_of(call, 1_000),
            None => http(answer).rows(None, 1_000),
        },
        Deed::Sql(_) | Deed::Process(_) | Deed::Chain(_) => Ok(Rows::default()),
    }
}

/// The rows of a preview, or why there are none.
pub(super) fn previewed(q: &Question, answer: &Answer) -> Outcome {
    if let Some(why) = answer.dark.as_ref().or(answer.unknown.as_ref()) {
        return Outcome::NoPreview { why: why.clone() };
    }
    match rows_of(&q.deed, answer) {
        Ok(rows) => {
            let identity =
                TargetIdentity { system: "7".into(), database: "practice".into(), server: "recorded".into() };
            Outcome::Previewed { rows, identity }
        }
        Err(why) => Outcome::NoPreview { why },
    }
}

/// How a job ended. What is not as expected is rolled back, may be asked for again, or is known by nobody.
pub(super) fn ended(job: &Job, answer: &Answer) -> Ended {
    if let Some(why) = &answer.dark {
        return Ended::NotStarted { why: why.clone() };
    }
    let doubt = |why: String| match job.effect {
        EffectClass::Observe | EffectClass::Idempotent => Ended::Failed { why },
        EffectClass::Atomic if answer.unknown.is_none() => Ended::Failed { why },
        EffectClass::Atomic | EffectClass::Once => Ended::Unknown { why },
    };
    if let Some(why) = &answer.unknown {
        return doubt(why.clone());
    }
    if let (Deed::Http(_), Some(400..=499)) = (&job.deed, answer.status) {
        return Ended::Failed { why: format!("the target answered {}", http(answer).status) };
    }
    match (holds(&job.expect, &job.deed, answer), rows_of(&job.deed, answer)) {
        (Ok(true), Ok(rows)) => Ended::Done { rows },
        (Ok(false), Ok(rows)) => doubt(format!("the answer is not as expected: {}", job.expect.difference(&rows))),
        (Err(why), _) | (_, Err(why)) => doubt(why),
    }
}
