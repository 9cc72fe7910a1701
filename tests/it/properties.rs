//! Sequences of everything that can arrive, in any order, against invariants: approvals start once and
//! only as agreed, unknown is never guessed, locks are never left behind, everybody gets an answer.
//! `DRBOT_SEED` repeats a run, `DRBOT_SEQUENCES` changes how many there are.

mod cards;
pub mod engine;
mod judge;
mod moves;
pub mod setting;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;

use drbot::model::case::Case;
use drbot::model::catalog::Catalog;
use drbot::model::id::CaseId;
use drbot::model::inbound::Input;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use engine::Engine;
use moves::Roll;

const THREADS: u32 = 2;
/// How often each kind of event must be seen in a whole run of 10,000 sequences.
const SEEN: u64 = 200;

type Counts = BTreeMap<String, u64>;

/// The beginning of a value's debug text.
fn short(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").chars().take(400).collect()
}

/// Plays one sequence. `trace` keeps each input, for the report of a failure.
fn play(catalogs: &[Catalog; 2], numbers: &[u32], mut trace: Option<&mut String>) -> Result<Counts, String> {
    let mut engine = Engine::new(catalogs);
    let restless = numbers.first().is_some_and(|n| n.is_multiple_of(3));
    for (at, number) in numbers.iter().enumerate() {
        let roll = Roll::of(*number);
        engine.now = engine.now.plus(roll.later());
        if restless && number >> 28 == 0 {
            engine.change(roll.a);
        }
        let input = moves::input(&engine, roll);
        if let Some(told) = trace.as_deref_mut() {
            told.push_str(&format!("{at}: {} {}\n", engine.now.clock(), short(&input)));
        }
        let decision = engine.step(&input).map_err(|e| format!("input {at}: {e}"))?;
        if let Some(told) = trace.as_deref_mut() {
            told.push_str(&format!("    {} {}\n", short(&decision.events), short(&decision.reply)));
        }
        if matches!(input, Input::Alerted(_)) && !engine.decided(&input)?.0.events.is_empty() {
            return Err(format!("input {at}: the same delivery again is news"));
        }
        if number.is_multiple_of(157) {
            check(&mut engine, *number as usize).map_err(|e| format!("input {at}: {e}"))?;
        }
    }
    for id in engine.cases.keys().cloned().collect::<Vec<_>>() {
        replayed(&engine, &id)?;
    }
    Ok(engine.counts)
}

/// One case looked at closely: it survives being stored, and its cards can be posted and used.
fn check(engine: &mut Engine, at: usize) -> Result<(), String> {
    let ids: Vec<CaseId> =
        engine.cases.keys().filter(|id| id.0.starts_with("inc-") || id.0.len() < 12).cloned().collect();
    let ids = if ids.is_empty() { engine.cases.keys().cloned().collect() } else { ids };
    if ids.is_empty() {
        return Ok(());
    }
    let id = &ids[at / 157 % ids.len()];
    let case = &engine.cases[id].case;
    let text = serde_json::to_string(case).map_err(|e| e.to_string())?;
    let again: Case = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    if again != *case {
        return Err(format!("{id} differs after it was stored and read"));
    }
    cards::look(engine, id)
}

/// The whole stream folded from nothing but text.
fn replayed(engine: &Engine, id: &CaseId) -> Result<(), String> {
    let mut case = Case::new(id.clone());
    for entry in engine.history(id) {
        case.apply(&entry.event, entry.at).map_err(|e| e.0)?;
    }
    let same = case == engine.cases[id].case;
    if same { Ok(()) } else { Err(format!("{id} replayed from blank differs")) }
}

fn seed() -> u64 {
    let given = std::env::var("DRBOT_SEED").ok().and_then(|s| s.parse().ok());
    given.unwrap_or_else(|| drbot::clock::now().0.unsigned_abs())
}

/// One thread's share; gives the counts or the shortest failing sequence, told input by input.
fn share(catalogs: &[Catalog; 2], cases: u32, seed: u64) -> Result<Counts, String> {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let total = RefCell::new(Counts::new());
    let result = runner.run(&vec(any::<u32>(), 30..=44), |numbers| {
        let counts = play(catalogs, &numbers, None).map_err(TestCaseError::fail)?;
        for (kind, n) in counts {
            *total.borrow_mut().entry(kind).or_default() += n;
        }
        Ok(())
    });
    match result {
        Ok(()) => Ok(total.into_inner()),
        Err(TestError::Abort(why)) => Err(why.to_string()),
        Err(TestError::Fail(why, numbers)) => {
            let mut told = String::new();
            let _ = play(catalogs, &numbers, Some(&mut told));
            Err(format!("{why}\n{told}"))
        }
    }
}

#[test]
fn no_sequence_breaks_a_rule() {
    let cases = std::env::var("DRBOT_SEQUENCES").ok().and_then(|s| s.parse().ok()).unwrap_or(10_000u32);
    let seed = seed();
    let catalogs = [setting::catalog("first edition"), setting::catalog("second edition")];
    let shares: Vec<Result<Counts, String>> = std::thread::scope(|scope| {
        let one = |i: u32| {
            let catalogs = &catalogs;
            scope.spawn(move || share(catalogs, cases.div_ceil(THREADS), seed.wrapping_add(i.into())))
        };
        let threads: Vec<_> = (0..THREADS).map(one).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err("a panic, see above".into()))).collect()
    });
    let mut counts = Counts::new();
    for share in shares {
        match share {
            Ok(part) => part.into_iter().for_each(|(kind, n)| *counts.entry(kind).or_default() += n),
            Err(why) => panic!("DRBOT_SEED={seed}: {why}"),
        }
    }
    let told: Vec<String> = counts.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
    // Shown when the suite fails or runs with --nocapture; not being able to print is no failure.
    let _ = writeln!(std::io::stdout(), "DRBOT_SEED={seed}, {cases} sequences: {}", told.join(", "));
    let rare: Vec<&&str> =
        KINDS.iter().filter(|k| counts.get(**k).copied().unwrap_or(0) < SEEN.min(u64::from(cases) / 50)).collect();
    assert!(rare.is_empty(), "DRBOT_SEED={seed}: too seldom seen: {rare:?}");
}

/// Every kind of event.
const KINDS: [&str; 45] = [
    "declared",
    "status_asked",
    "watch_opened",
    "control_opened",
    "refused",
    "noted",
    "card_posted",
    "card_failed",
    "form_opened",
    "pick_asked",
    "picked",
    "detected",
    "alarm_opened",
    "alerted",
    "alarm_acked",
    "alarm_opening",
    "alarm_linked",
    "alert_joined",
    "run_started",
    "run_paused",
    "run_resumed",
    "run_verifying",
    "run_verified",
    "preview_asked",
    "preview_failed",
    "approval_asked",
    "vote_refused",
    "voted",
    "granted",
    "denied",
    "expired",
    "voided",
    "step_started",
    "step_ended",
    "step_verified",
    "step_skipped",
    "step_settled",
    "settle_claimed",
    "person_asked",
    "person_did",
    "failure_asked",
    "deadline_began",
    "deadline_near",
    "deadline_met",
    "agreed_undo",
];
