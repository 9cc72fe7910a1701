//! What must hold after every input, told without the help of the code that is judged: its own record of
//! approvals, votes and claims, and its own reading of the policies.

use std::collections::BTreeMap;

use drbot::model::agreed::{News, Pending, Stand};
use drbot::model::alert::Origin;
use drbot::model::approval::{Approval, ApprovalId, Policy};
use drbot::model::command::{Asked, Command};
use drbot::model::effect::{Act, CardKind};
use drbot::model::event::{Declared, Event, StepEnd};
use drbot::model::id::{CaseId, EffectKey};
use drbot::model::inbound::{Input, Place};
use drbot::model::message::Reply;
use drbot::model::outcome::{Outcome, Verdict as Checks};
use drbot::model::person::{PersonId, Speaker};
use drbot::model::run::{Phase, Run, RunState};
use drbot::model::runbook::{EffectClass, Step, Work};
use drbot::model::time::Millis;
use drbot::model::world::Decision;

use super::engine::Engine;
use super::setting::satisfied;

#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Open,
    Granted { start_by: Millis },
    Started,
    Closed,
}

struct Track {
    case: CaseId,
    step: String,
    at: At,
    digest: String,
    requester: PersonId,
    policy: Policy,
    version: String,
    decide_by: Millis,
    votes: Vec<PersonId>,
}

#[derive(Default)]
pub struct Judge {
    approvals: BTreeMap<ApprovalId, Track>,
    claims: BTreeMap<CaseId, BTreeMap<PersonId, bool>>,
    origins: BTreeMap<(CaseId, u32), CaseId>,
    /// Of each agreed undo: whether a try is open, and whether it happened.
    back: BTreeMap<ApprovalId, (bool, bool)>,
}

type Verdict = Result<(), String>;

fn must(holds: bool, what: &str) -> Verdict {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn speaks(input: &Input) -> Option<&Speaker> {
    match input {
        Input::Said { by, .. } => Some(by),
        Input::Clicked(click) => Some(&click.by),
        Input::Filled(form) => Some(&form.by),
        _ => None,
    }
}

fn run_of<'a>(engine: &'a Engine, id: &CaseId) -> Option<&'a Run> {
    engine.cases.get(id)?.case.incident()?.run.as_ref()
}

/// What is said in the thread of one incident's card, and names no other, is about that incident.
fn meant(engine: &Engine, id: &CaseId, event: &Event, input: &Input) -> Verdict {
    let Input::Said { place: Place { channel, thread: Some(thread), .. }, said: Ok(asked), .. } = input else {
        return Ok(());
    };
    if asked.incident.is_some() || !matches!(event, Event::Noted { .. } | Event::RunStarted { .. }) {
        return Ok(());
    }
    let card = |case: &drbot::model::case::Case| case.cards.get(&CardKind::Main).map(|c| c.ts.clone());
    let fits = |case: &drbot::model::case::Case| {
        card(case).as_ref() == Some(thread) && case.incident().is_some_and(|i| i.declared.channel == *channel)
    };
    let all: Vec<&CaseId> = engine.cases.iter().filter(|(_, s)| fits(&s.case)).map(|(id, _)| id).collect();
    must(all.is_empty() || all.contains(&id), "said in the thread of another incident")
}

impl Judge {
    /// Before an event of a decision is applied.
    pub fn event(&mut self, engine: &Engine, id: &CaseId, event: &Event, input: &Input) -> Verdict {
        self.unknown(engine, id, event, input)?;
        meant(engine, id, event, input)?;
        match event {
            Event::ApprovalAsked { approval } => self.asked(id, approval),
            Event::Voted { approval, by } => self.voted(engine, approval, by, input),
            Event::Granted { approval, start_by } => self.granted(engine, approval, *start_by),
            Event::Denied { approval, .. } | Event::Expired { approval } | Event::Voided { approval, .. } => {
                let track = self.approvals.get_mut(approval).ok_or("closes an approval nobody asked for")?;
                must(matches!(track.at, At::Open | At::Granted { .. }), "closes an approval that is over")?;
                track.at = At::Closed;
                Ok(())
            }
            Event::Declared(declared) => self.declared(id, declared),
            Event::AlarmAcked { by } | Event::AlarmOpening { by } => {
                let person =
                    speaks(input).and_then(|s| engine.roster.person(s)).ok_or("done for an alert by nobody")?;
                must(person.id == *by, "done for an alert by somebody who did not speak")
            }
            Event::AlarmLinked { number } => {
                let round = engine.cases.get(id).and_then(|s| s.case.alarm()).map(|a| a.rounds).unwrap_or_default();
                let ours = |o: &Origin| o.case == *id && o.round <= round;
                let open = engine.world.open.get(&CaseId::incident(*number));
                must(
                    open.is_some_and(|o| o.origins.iter().any(ours)),
                    "linked to an incident that does not know the alert",
                )
            }
            Event::AgreedUndo { approval, news } => self.undone(engine, (id, approval), news, input),
            Event::StepStarted { step, digest, .. } => self.started(engine, (id, step), digest, input),
            _ => Ok(()),
        }
    }

    /// One firing of one alert opens one incident, whatever is repeated.
    fn declared(&mut self, id: &CaseId, declared: &Declared) -> Verdict {
        let Some(origin) = &declared.origin else { return Ok(()) };
        let first = self.origins.insert((origin.case.clone(), origin.round), id.clone()).is_none();
        must(first, "a second incident for one firing of one alert")
    }

    fn asked(&mut self, id: &CaseId, approval: &Approval) -> Verdict {
        must(approval.action.digest() == approval.digest, "the digest is not the action's")?;
        let track = Track {
            case: id.clone(),
            step: approval.action.step.clone(),
            at: At::Open,
            digest: approval.digest.clone(),
            requester: approval.action.requester.clone(),
            policy: approval.policy.clone(),
            version: approval.action.policy.clone(),
            decide_by: approval.action.decide_by,
            votes: Vec::new(),
        };
        must(self.approvals.insert(approval.id.clone(), track).is_none(), "one approval id was asked twice")
    }

    fn voted(&mut self, engine: &Engine, id: &ApprovalId, by: &PersonId, input: &Input) -> Verdict {
        let track = self.approvals.get_mut(id).ok_or("a vote for an approval nobody asked for")?;
        must(track.at == At::Open, "a vote for an approval that is decided")?;
        must(*by != track.requester, "the requester voted")?;
        let person = speaks(input).and_then(|s| engine.roster.person(s)).ok_or("a vote without a person")?;
        must(person.id == *by, "a vote by somebody who did not speak")?;
        must(person.roles.iter().any(|r| track.policy.all_of.iter().any(|q| q.role == *r)), "a vote without a role")?;
        must(!track.votes.contains(by), "one person voted twice")?;
        track.votes.push(by.clone());
        Ok(())
    }

    fn granted(&mut self, engine: &Engine, id: &ApprovalId, start_by: Millis) -> Verdict {
        let track = self.approvals.get_mut(id).ok_or("grants an approval nobody asked for")?;
        must(track.at == At::Open, "grants an approval that is decided")?;
        must(engine.now <= track.decide_by, "granted too late")?;
        must(start_by == engine.now.plus(engine.world.rules.start_within), "another time to start than the rules say")?;
        must(track.version == engine.world.rules.version, "granted under other rules")?;
        must(satisfied(&track.policy, &track.requester, &track.votes, &engine.roster), "granted by too few")?;
        track.at = At::Granted { start_by };
        Ok(())
    }

    /// A changing step starts only with its one granted approval, in time, and as the stored job says.
    fn started(&mut self, engine: &Engine, what: (&CaseId, &str), digest: &str, input: &Input) -> Verdict {
        let (id, step) = what;
        let run = run_of(engine, id).ok_or("a start without a run")?;
        let (definition, _) = run.current().ok_or("a start without a step")?;
        let Input::Starting { effect, digest: hash, .. } = input else { return Err("started unasked".into()) };
        let Work::Sql(work) = &definition.work else { return Err("started a manual step".into()) };
        if work.effect == EffectClass::Observe {
            return must(digest.is_empty(), "a step that reads has a digest");
        }
        let job = engine.job(effect).ok_or("started without a stored job")?;
        must(job.hash() == *hash, "started another job than the stored one")?;
        must(job.digest == digest, "the job is not the approved one")?;
        let mut granted = self.approvals.values_mut().filter(|t| t.case == *id && t.step == step && t.digest == digest);
        let track = granted.next().ok_or("started without an approval")?;
        let At::Granted { start_by } = track.at else { return Err("started without a granted approval".into()) };
        must(engine.now <= start_by, "started too late")?;
        must(track.version == engine.world.rules.version, "started under other rules")?;
        must(satisfied(&track.policy, &track.requester, &track.votes, &engine.roster), "started though too few agree")?;
        let closure = engine.catalog().runbooks.get(&run.loaded.runbook.runbook).map(|l| l.closure.as_str());
        must(closure == Some(run.loaded.closure.as_str()), "started though the runbook changed")?;
        track.at = At::Started;
        Ok(())
    }

    /// An agreed undo runs under an approval that was used, as it was agreed, and happens at most once.
    fn undone(&mut self, engine: &Engine, at: (&CaseId, &ApprovalId), news: &News, input: &Input) -> Verdict {
        let (id, approval) = at;
        let track = self.approvals.get(approval).ok_or("takes back what nobody approved")?;
        must(track.at == At::Started && track.case == *id, "takes back a step that did not start here")?;
        let incident = engine.cases.get(id).and_then(|s| s.case.incident()).ok_or("takes back without an incident")?;
        let before = incident.agreed.iter().find(|p| p.approval.id == *approval);
        let back = self.back.entry(approval.clone()).or_default();
        match news {
            News::Armed { .. } => must(before.is_none(), "armed twice"),
            News::Due { .. } => match input {
                Input::Due { .. } => must(before.is_some_and(|p| engine.now >= p.until), "taken back before its time"),
                Input::Came { outcome: Outcome::Checked(list), .. } => {
                    must(list.iter().all(|c| c.verdict == Checks::Pass), "taken back though its condition fails")
                }
                _ => Err("taken back by nothing".into()),
            },
            News::Started { .. } => {
                let Input::Starting { effect, digest: hash, .. } = input else { return Err("undone unasked".into()) };
                must(!back.1, "taken back again")?;
                must(!back.0, "taken back while the last try is open")?;
                back.0 = true;
                let job = engine.job(effect).ok_or("undone without a stored job")?;
                must(job.digest == track.digest, "the undo is not the approved one")?;
                // A job that was changed in the store is refused in the same decision.
                must(job.hash() == *hash || hash.starts_with('0'), "undid another job than the stored one")
            }
            News::Ended { end, .. } => {
                must(back.0, "an undo ends that did not begin")?;
                back.0 = matches!(end, StepEnd::Unknown { .. });
                back.1 |= matches!(end, StepEnd::Done { .. });
                Ok(())
            }
            News::Stopped { by, .. } => {
                let person = speaks(input).and_then(|s| engine.roster.person(s)).ok_or("stopped by nobody")?;
                let may = |r: &String| track.policy.all_of.iter().any(|q| q.role == *r);
                must(person.id == *by && !back.0, "stopped by somebody who did not speak")?;
                must(person.id == track.requester || person.roles.iter().any(may), "stopped without a role")
            }
            News::Held { .. } | News::Proved { .. } | News::Told { .. } => Ok(()),
        }
    }

    /// Unknown is left by nothing but a probe's answer or two persons who say the same.
    fn unknown(&mut self, engine: &Engine, id: &CaseId, event: &Event, input: &Input) -> Verdict {
        let unknown = run_of(engine, id).filter(|r| r.steps.iter().any(|s| s.phase == Phase::Unknown));
        let Some(run) = unknown else {
            self.claims.remove(id);
            return Ok(());
        };
        match event {
            Event::SettleClaimed { by, happened, .. } => {
                let person = speaks(input).and_then(|s| engine.roster.person(s)).ok_or("a claim without a person")?;
                must(person.id == *by, "a claim by somebody who did not speak")?;
                self.claims.entry(id.clone()).or_default().insert(by.clone(), *happened);
                Ok(())
            }
            Event::StepSettled { happened, .. } => self.settled(engine, (id, run), *happened, input),
            Event::RunPaused { .. }
            | Event::Noted { .. }
            | Event::CardPosted { .. }
            | Event::CardFailed { .. }
            | Event::FormOpened { .. }
            | Event::Picked { .. }
            | Event::VoteRefused { .. }
            | Event::AlertJoined { .. }
            | Event::AgreedUndo { .. }
            | Event::DeadlineNear { .. }
            | Event::DeadlineMet { .. }
            | Event::Refused { .. } => Ok(()),
            other => Err(format!("{} while a step is unknown", other.kind())),
        }
    }

    fn settled(&self, engine: &Engine, at: (&CaseId, &Run), happened: bool, input: &Input) -> Verdict {
        let (id, run) = at;
        let (step, state) = run.current().ok_or("settled without a step")?;
        match input {
            Input::Came { effect, outcome: Outcome::Probed { happened: Some(answer), .. }, .. } => {
                let own = EffectKey::of(&["probe", &id.0, &run.id, &step.id, &state.attempt.to_string()]);
                must(*effect == own, "settled by another probe")?;
                must(*answer == happened, "settled against the probe")
            }
            Input::Said { by, said: Ok(Asked { command: Command::Settle { happened: said, .. }, .. }), .. } => {
                let person = engine.roster.person(by).ok_or("settled by a stranger")?;
                let claims = self.claims.get(id).ok_or("settled by one person")?;
                must(*said == happened, "settled against what was said")?;
                must(claims.iter().any(|(p, c)| *p != person.id && *c == happened), "settled by one person")
            }
            _ => Err("settled by neither a probe nor people".into()),
        }
    }

    /// After a whole decision was applied.
    pub fn after(&mut self, engine: &Engine, input: &Input, decision: &Decision) -> Verdict {
        serde_json::to_string(decision).map_err(|e| e.to_string())?;
        let reply = decision.reply.as_ref();
        if let Some(Reply::Private(message)) = reply {
            must(!message.notify.contains("a state it does not know"), &message.notify)?;
        }
        self.answered(input, decision)?;
        diagnosed(engine, decision)?;
        self.allowed(engine, input, decision)?;
        locks(engine)
    }

    /// Nobody speaks into silence.
    fn answered(&self, input: &Input, decision: &Decision) -> Verdict {
        let told = |who: &Speaker| {
            decision
                .effects
                .iter()
                .any(|e| matches!(&e.act, Act::Tell { to, message, .. } if to == who && !message.notify.is_empty()))
        };
        let posted = |place: &Place| {
            let here = |a: &Act| matches!(a, Act::Tell { channel, thread, .. } if *channel == place.channel && *thread == place.thread);
            decision.effects.iter().filter(|e| here(&e.act)).count() == 1
        };
        let holds = match (input, &decision.reply) {
            (Input::Said { by, place, .. }, reply) if place.mention => {
                *reply == Some(Reply::Nothing) && told(by) && posted(place)
            }
            (Input::Said { .. }, Some(Reply::Private(m))) => !m.notify.is_empty() && !m.parts.is_empty(),
            (Input::Filled(_), Some(Reply::FormError(text))) => !text.is_empty(),
            (Input::Filled(form), Some(Reply::FieldErrors(each))) => {
                let shown = each.iter().all(|(id, text)| form.values.contains_key(id) && !text.is_empty());
                !each.is_empty() && shown && decision.events.is_empty()
            }
            (Input::Filled(form), _) => told(&form.by),
            (Input::Clicked(click), _) => {
                let asks = |a: &Act| matches!(a, Act::Ask { trigger, .. } if *trigger == click.trigger);
                told(&click.by) || decision.effects.iter().any(|e| asks(&e.act))
            }
            (Input::Said { .. }, _) => false,
            _ => true,
        };
        must(holds, "somebody got no answer")
    }

    /// Leave to start is given once per approval: with the start itself.
    fn allowed(&self, engine: &Engine, input: &Input, decision: &Decision) -> Verdict {
        let (Input::Starting { case, .. }, Some(Reply::Go)) = (input, &decision.reply) else { return Ok(()) };
        let undone = |e: &Event| matches!(e, Event::AgreedUndo { news: News::Started { .. }, .. });
        if decision.events.iter().any(|e| matches!(e, Event::StepStarted { .. }) || undone(e)) {
            return Ok(());
        }
        let work = run_of(engine, case).and_then(|r| r.current()).map(|(s, _)| &s.work);
        let reads = matches!(work, Some(Work::Sql(w)) if w.effect == EffectClass::Observe);
        must(reads, "leave to start a change a second time")
    }
}

/// A group that begins to fire is checked by its scenario, if one names it; nothing else is started by it.
fn diagnosed(engine: &Engine, decision: &Decision) -> Verdict {
    for event in &decision.events {
        let Event::Alerted { round, .. } = event else { continue };
        let scenario = round.as_ref().and_then(|r| r.scenario.as_ref());
        let wanted = scenario.filter(|s| engine.catalog().runbooks.contains_key(*s));
        let acts: Vec<&Act> = decision.effects.iter().map(|e| &e.act).collect();
        let checks = acts.iter().filter(|a| matches!(a, Act::Check(_))).count();
        must(checks == usize::from(wanted.is_some()), "an alert that begins to fire is checked once")?;
        must(acts.iter().all(|a| matches!(a, Act::Check(_) | Act::Render(_))), "an alert started something")?;
    }
    Ok(())
}

/// The lock of a runbook is held exactly by the incident in which it goes on or may have happened; that of
/// the target from a change's preview until its proof.
fn locks(engine: &Engine) -> Verdict {
    let mut wanted = BTreeMap::new();
    for (id, stream) in &engine.cases {
        let Some(incident) = stream.case.incident() else { continue };
        let open = |p: &Pending| matches!(p.stand, Stand::Started | Stand::Unknown | Stand::Proving);
        if incident.agreed.iter().any(open) {
            must(wanted.insert("target/db".into(), id.clone()).is_none(), "two incidents change one target")?;
        }
        let Some(run) = incident.run.as_ref() else { continue };
        let unknown = run.steps.iter().any(|s| s.phase == Phase::Unknown);
        if unknown || matches!(run.state, RunState::Going | RunState::Verifying) {
            wanted.insert(format!("run/{}", run.loaded.runbook.runbook), id.clone());
        }
        let idle = [Phase::Todo, Phase::Done, Phase::Skipped, Phase::Failed];
        let changes = |step: &Step| step.work.task().is_some_and(|t| t.effect != EffectClass::Observe);
        if run.current().is_some_and(|(step, s)| changes(step) && !idle.contains(&s.phase)) && !run.over() {
            let other = wanted.insert("target/db".into(), id.clone()).filter(|o| o != id);
            must(other.is_none(), "two incidents change one target")?;
        }
    }
    let held: BTreeMap<String, CaseId> =
        engine.world.locks.iter().map(|(name, held)| (name.clone(), held.case.clone())).collect();
    if held == wanted { Ok(()) } else { Err(format!("locks are {held:?} and should be {wanted:?}")) }
}
