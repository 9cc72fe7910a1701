//! Questions and jobs made of HTTP calls. Takes rendered calls; gives verdicts, rows and ends, told apart
//! by what is certain: a call that was never sent, one that the target refused, one nobody can judge.

use std::time::Duration;

use tokio::time::sleep;

use super::Seen;
use super::http::{Http, HttpFault};
use super::sql::figure;
use crate::model::effect::{Job, Question};
use crate::model::expect::{Expect, Rows};
use crate::model::http::{HttpAnswer, HttpCall};
use crate::model::outcome::Ended;
use crate::model::runbook::EffectClass;

/// Between two calls of one list: 20 in a second at most, below what vendors allow for one kind of call.
pub(super) const GAP: Duration = Duration::from_millis(50);

/// Most pages of one list.
const PAGES: usize = 200;

/// Most characters of what a refusal says about itself.
const SAID: usize = 160;

/// Asks once and holds the answer against the expectation.
pub(super) async fn check(http: &Http, q: &Question, calls: &[HttpCall]) -> Seen {
    let [call] = calls else { return Seen::Dark("a check makes exactly one call".to_owned()) };
    let answer = match http.call(&q.target, call).await {
        Ok(answer) => answer,
        // That nobody answers is what such a check looks for; what we refuse ourselves says nothing.
        Err(HttpFault::NotSent { why } | HttpFault::Doubtful { why }) if q.expect.reachable => {
            return Seen::Judged(Ok(false), why);
        }
        // Somebody took the call and said nothing: where that is the question, it is the verdict.
        Err(HttpFault::Doubtful { why }) if q.expect.answer.as_ref().is_some_and(|a| a.silence_fails) => {
            return Seen::Judged(Ok(false), why);
        }
        Err(fault) => return Seen::Dark(fault.text()),
    };
    let rows = answer.rows_of(call, q.cap);
    let shown = match &rows {
        // Without them such a sentence has nothing to say.
        Err(why) if call.backups.is_some() && (200..300).contains(&answer.status) => why.clone(),
        Err(_) if call.backups.is_some() => refusal(&q.target, &answer),
        rows => figure(&told(q, &answer), rows.as_ref().unwrap_or(&Rows::default())),
    };
    Seen::Judged(holds(&q.expect, &answer, rows), shown)
}

fn holds(expect: &Expect, answer: &HttpAnswer, rows: Result<Rows, String>) -> Result<bool, String> {
    if !expect.answer.clone().unwrap_or_default().holds(answer)? {
        return Ok(false);
    }
    if expect.rows.is_none() && expect.value.is_none() {
        return Ok(true);
    }
    expect.holds(&rows?)
}

/// The question with what the answer says about itself as values for the figure.
fn told(q: &Question, answer: &HttpAnswer) -> Question {
    let mut q = q.clone();
    q.values.insert("status".into(), answer.status.to_string());
    q.values.insert("latency".into(), answer.latency.human());
    q.values.insert("said".into(), said(answer));
    q
}

/// What a refusal gives as its reason. The content of a good answer stays out: it may be a customer's.
fn said(answer: &HttpAnswer) -> String {
    if (200..300).contains(&answer.status) {
        return String::new();
    }
    let text = |pointer: &str| answer.json.as_ref()?.pointer(pointer)?.as_str().map(str::to_owned);
    let parts: Vec<String> =
        ["/code", "/error/code", "/message", "/error/message", "/msg", "/error", "/error_description"]
            .into_iter()
            .filter_map(text)
            .collect();
    let line = parts.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SAID) {
        Some((at, _)) => format!("{}… (cut)", &line[..at]),
        None => line,
    }
}

/// Whether the answer is a list of pages that are all wanted.
pub(super) fn paged(calls: &[HttpCall]) -> bool {
    calls.iter().any(|c| c.rows.as_ref().is_some_and(|at| at.pages.is_some()))
}

/// Asks once, or for one page after the other, and gives the rows.
pub(super) async fn rows(http: &Http, q: &Question, calls: &[HttpCall]) -> Result<Rows, String> {
    let [call] = calls else { return Err("a preview makes exactly one call".to_owned()) };
    let mut all = Rows::default();
    let mut next = call.clone();
    for _ in 0..PAGES {
        let answer = http.call(&q.target, &next).await.map_err(HttpFault::text)?;
        if !(200..300).contains(&answer.status) {
            return Err(refusal(&q.target, &answer));
        }
        let page = answer.rows_of(call, q.cap.saturating_sub(all.rows.len() as u64))?;
        all.beyond += page.beyond;
        all.columns = page.columns;
        all.rows.extend(page.rows);
        let Some((at, pages)) = call.rows.as_ref().and_then(|at| Some((at, at.pages.as_ref()?))) else {
            return Ok(all);
        };
        let Some(name) = at.next(pages, &answer)? else { return Ok(all) };
        let mark = if call.path.contains('?') { '&' } else { '?' };
        let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        next.path = format!("{}{mark}{}={name}", call.path, pages.query);
        sleep(GAP).await;
    }
    Err(format!("{} has more than {PAGES} pages: the others could not be looked at", q.target))
}

fn refusal(target: &str, answer: &HttpAnswer) -> String {
    let said = said(answer);
    let colon = if said.is_empty() { "" } else { ": " };
    format!("target {target} answered {}{colon}{said}", answer.status)
}

/// Makes the calls one after the other and stops at the first that did not go through.
pub(super) async fn run(http: &Http, job: &Job, calls: &[HttpCall]) -> Ended {
    let mut done = Rows { columns: vec!["call".into(), "status".into(), "took".into()], ..Rows::default() };
    let mut last = None;
    for (i, call) in calls.iter().enumerate() {
        if i > 0 {
            sleep(GAP).await;
        }
        let call = keyed(job, call, i);
        let what = format!("{} {}", call.method.word(), call.path);
        match http.call(&job.target, &call).await {
            Ok(answer) if good(job, &answer) => {
                done.rows.push(vec![Some(what), Some(answer.status.to_string()), Some(answer.latency.human())]);
                last = Some((call, answer));
            }
            Ok(answer) => return unwelcome(job, &done, &answer),
            Err(fault) => return broken(job, &done, fault),
        }
    }
    match last {
        Some((call, answer)) if calls.len() == 1 && call.lists() => finished(job, &call, &answer),
        _ => Ended::Done { rows: done },
    }
}

/// The rows of a single call's answer, held against the step's expectation.
fn finished(job: &Job, call: &HttpCall, answer: &HttpAnswer) -> Ended {
    match answer.rows_of(call, 1_000).and_then(|rows| Ok((job.expect.holds(&rows)?, rows))) {
        Ok((true, rows)) => Ended::Done { rows },
        Ok((false, rows)) => doubt(job, format!("the answer is not as expected: {}", job.expect.difference(&rows))),
        Err(why) => doubt(job, format!("it answered, but {why}")),
    }
}

/// A call that may be repeated carries its own name, so that the target can tell it is the same.
fn keyed(job: &Job, call: &HttpCall, i: usize) -> HttpCall {
    let mut call = call.clone();
    let named = call.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
    if job.effect != EffectClass::Observe && !named {
        call.headers.push(("Idempotency-Key".to_owned(), format!("{}-{i}", job.execution)));
    }
    call
}

fn good(job: &Job, answer: &HttpAnswer) -> bool {
    job.expect.answer.clone().unwrap_or_default().holds(answer) == Ok(true)
}

/// A 4xx is the target's refusal, so that call did nothing; anything else may have acted.
fn unwelcome(job: &Job, done: &Rows, answer: &HttpAnswer) -> Ended {
    let why = format!("{}{}", before(done), refusal(&job.target, answer));
    match (answer.status, done.rows.len()) {
        (400..=499, 0) => Ended::Failed { why },
        _ => doubt(job, why),
    }
}

fn broken(job: &Job, done: &Rows, fault: HttpFault) -> Ended {
    let none = done.rows.is_empty();
    let certain = matches!(fault, HttpFault::NotSent { .. } | HttpFault::Refused { .. });
    let why = format!("{}{}", before(done), fault.text());
    match (certain, none) {
        (true, true) => Ended::NotStarted { why },
        _ => doubt(job, why),
    }
}

fn before(done: &Rows) -> String {
    if done.rows.is_empty() { String::new() } else { format!("after {} calls that went through: ", done.rows.len()) }
}

/// What can be done again may simply be asked for again; the rest must be looked at by people.
fn doubt(job: &Job, why: String) -> Ended {
    match job.effect {
        EffectClass::Observe | EffectClass::Idempotent => Ended::Failed { why },
        EffectClass::Once | EffectClass::Atomic => Ended::Unknown { why },
    }
}
