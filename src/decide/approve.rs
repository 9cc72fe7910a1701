//! Decisions about approvals and manual steps, from any way in: button, form, text. Takes who and what;
//! gives the vote's consequence and an answer to the person, always.

use super::advance::advance;
use super::draft::Draft;
use super::{Cx, agreed, deadline, failed, flow, params, pick, policy, start};
use crate::model::approval::{Approval, ApprovalId, Standing};
use crate::model::effect::{Act, AskForm, Lane};
use crate::model::event::Event;
use crate::model::id::EffectKey;
use crate::model::inbound::{Click, Form, FormPurpose};
use crate::model::incident::{Incident, OpenForm};
use crate::model::message::Reply;
use crate::model::person::{Person, PersonId, Speaker};
use crate::model::time::Span;
use crate::model::world::Decision;

/// How long Slack lets a form be opened, less a margin (it forgets the trigger after 3 s).
const FORM_WITHIN: Span = Span(2_500);

/// A button of this case was pressed.
pub(crate) fn clicked(draft: &mut Draft, cx: &mut Cx<'_>, click: &Click) -> Reply {
    let key = cx.ids.hex();
    if let Some(text) = decide_click(draft, cx, click) {
        draft.tell(&key, &click.by, (&click.place.channel, click.place.reply.as_deref()), text);
    }
    Reply::Nothing
}

fn decide_click(draft: &mut Draft, cx: &mut Cx<'_>, click: &Click) -> Option<String> {
    // Shown to one person alone, so it is no card.
    if let Some(picking) = pick::behind(draft, &click.button) {
        return pick::clicked(draft, cx, click, &picking);
    }
    if let Some(odd) = elsewhere(draft, click) {
        return Some(odd);
    }
    let incident = draft.incident()?.clone();
    let approval = incident
        .run
        .as_ref()
        .and_then(|r| {
            r.steps
                .iter()
                .filter_map(|s| s.approval.as_ref())
                .find(|a| a.approve == click.button || a.deny == click.button)
        })
        .cloned();
    if let Some(approval) = approval {
        if approval.approve == click.button {
            return Some(vote(draft, cx, &approval.id, &click.by));
        }
        return deny_form(draft, cx, click, &approval).err();
    }
    match incident.person {
        Some((step, done, cannot)) if click.button == done || click.button == cannot => {
            manual_form(draft, cx, click, (step, click.button == done))
        }
        _ if choice(draft, &click.button).is_some() => {
            let person = cx.roster.person(&click.by).cloned();
            let which = choice(draft, &click.button)?;
            Some(person.map_or_else(stranger, |p| flow::chosen(draft, cx, &p, which)))
        }
        _ => failed::clicked(draft, cx, click),
    }
}

/// Which option of the current choice a button stands for.
fn choice(draft: &Draft, button: &crate::model::id::ButtonId) -> Option<usize> {
    let (_, state) = draft.run()?.current()?;
    state.buttons.iter().position(|b| b == button)
}

/// The click must come from the message and channel where the card stands.
pub(crate) fn elsewhere(draft: &Draft, click: &Click) -> Option<String> {
    let whose = if draft.case.alarm().is_some() { "alert" } else { "incident" };
    let card = draft.case.cards.get(&crate::model::effect::CardKind::Main)?;
    let same = card.channel == click.place.channel && card.ts == click.message;
    (!same).then(|| {
        format!("This copy of the card is not the {whose}'s own; use the one in its channel. Nothing was done.")
    })
}

fn deny_form(draft: &mut Draft, cx: &mut Cx<'_>, click: &Click, approval: &Approval) -> Result<(), String> {
    let person = may_stop(draft, cx, approval, &click.by)?;
    let form = AskForm {
        token: cx.ids.button(),
        title: "Deny this step".into(),
        explain: format!("{} ({})", approval.action.title, approval.id.0),
        label: "Why? The requester and the timeline will show it.".into(),
        submit: "Deny".into(),
        fields: vec![],
        otherwise: None,
    };
    open(draft, cx, Asking::of(click), (form, FormPurpose::Deny(approval.id.clone()), &person));
    Ok(())
}

/// Whether this speaker may stop the approval: those who could agree, and the requester, who withdraws.
fn may_stop(draft: &mut Draft, cx: &mut Cx<'_>, approval: &Approval, by: &Speaker) -> Result<Person, String> {
    let person = may_decide(draft, cx, approval, by)?;
    match policy::refusal(approval, &person, cx.roster) {
        Some(why) if person.id != approval.action.requester => {
            draft.happen(Event::VoteRefused { approval: approval.id.clone(), who: person.name, why: why.clone() });
            Err(why)
        }
        _ => Ok(person),
    }
}

fn manual_form(draft: &mut Draft, cx: &mut Cx<'_>, click: &Click, what: (String, bool)) -> Option<String> {
    let Some(person) = cx.roster.person(&click.by).cloned() else { return Some(stranger()) };
    let (step, done) = what;
    let (title, label, submit, purpose) = if done {
        ("Step is done", "Evidence: what did you see, or a link to it?", "Done", FormPurpose::Done(step.clone()))
    } else {
        ("Step cannot be done", "What stands in the way?", "Cannot", FormPurpose::Cannot(step.clone()))
    };
    let form = AskForm {
        token: cx.ids.button(),
        title: title.into(),
        explain: format!("Step {step}"),
        label: label.into(),
        submit: submit.into(),
        fields: vec![],
        otherwise: None,
    };
    open(draft, cx, Asking::of(click), (form, purpose, &person));
    None
}

/// A gesture that a form may answer: whose, where, and what opens it.
pub(super) struct Asking<'a> {
    pub(super) by: &'a Speaker,
    pub(super) channel: &'a str,
    pub(super) trigger: &'a str,
}

impl Asking<'_> {
    pub(super) fn of(click: &Click) -> Asking<'_> {
        Asking { by: &click.by, channel: &click.place.channel, trigger: &click.trigger }
    }
}

/// Opens a form for the person whose gesture it answers.
pub(super) fn open(draft: &mut Draft, cx: &mut Cx<'_>, to: Asking<'_>, what: (AskForm, FormPurpose, &Person)) {
    let (form, purpose, person) = what;
    draft.out.handle(&form.token);
    draft.happen(Event::FormOpened { token: form.token.clone(), purpose, person: person.id.clone() });
    let key = EffectKey::of(&["form", &form.token.0]);
    let (channel, trigger) = (to.channel.to_owned(), to.trigger.to_owned());
    let act = Act::Ask { to: to.by.clone(), channel, trigger, by: cx.now.plus(FORM_WITHIN), form };
    draft.effect(key, Lane::Approval, cx.now, act);
}

/// A form of this case was sent.
pub(crate) fn filled(draft: &mut Draft, cx: &mut Cx<'_>, form: &Form) -> Reply {
    let known = draft.incident().and_then(|i| i.forms.iter().find(|f| f.token == form.token)).cloned();
    let Some(OpenForm { purpose, person: opened_by, .. }) = known else {
        return Reply::FormError("This form was already used or is too old. Close it and ask again.".into());
    };
    let person = cx.roster.person(&form.by).filter(|p| p.id == opened_by).cloned();
    let Some(person) = person else {
        return Reply::FormError("Only the person who opened this form may send it.".into());
    };
    let answer = match &purpose {
        FormPurpose::Deny(id) => written(form).map(|text| deny(draft, cx, id, (&form.by, text))),
        FormPurpose::Done(step) => written(form).map(|text| manual(draft, cx, (&person, step), (text, true))),
        FormPurpose::Cannot(step) => written(form).map(|text| manual(draft, cx, (&person, step), (text, false))),
        FormPurpose::Skip(button) | FormPurpose::Abort(button) => {
            written(form).map(|text| failed::filled(draft, cx, (&person, button), text))
        }
        FormPurpose::Run(name) => params::filled(draft, cx, (form, &person), name),
    };
    let text = match answer {
        Ok(text) => text,
        Err(reply) => return reply,
    };
    let channel = draft.incident().map(|i| i.declared.channel.clone()).unwrap_or_default();
    let key = cx.ids.hex();
    draft.tell(&key, &form.by, (&channel, None), text);
    Reply::Nothing
}

/// The text of a form that asks for one.
fn written(form: &Form) -> Result<&str, Reply> {
    match form.text.trim() {
        "" => Err(Reply::FormError("Please write a reason or the evidence: it cannot be empty.".into())),
        text => Ok(text),
    }
}

/// One person agrees. Gives the text for them.
pub(crate) fn vote(draft: &mut Draft, cx: &mut Cx<'_>, id: &ApprovalId, by: &Speaker) -> String {
    let Some(approval) = find(draft, id) else { return not_now(draft, id) };
    let person = match may_decide(draft, cx, &approval, by) {
        Ok(person) => person,
        Err(text) => return text,
    };
    if let Some(why) = policy::refusal(&approval, &person, cx.roster) {
        draft.happen(Event::VoteRefused { approval: id.clone(), who: person.name.clone(), why: why.clone() });
        return why;
    }
    if approval.votes.iter().any(|(p, _)| *p == person.id) {
        return format!("You already agreed; it {}.", policy::of(&approval, cx.roster).text(cx.roster));
    }
    draft.happen(Event::Voted { approval: id.clone(), by: person.id.clone() });
    let Some(approval) = find(draft, id) else { return unknown_approval(id) };
    let explained = policy::of(&approval, cx.roster);
    if !explained.met() {
        return format!("Noted. It still {}.", explained.text(cx.roster));
    }
    let start_by = cx.now.plus(cx.world.rules.start_within);
    draft.happen(Event::Granted { approval: id.clone(), start_by });
    advance(draft, cx);
    format!("You approved {}. It starts now; the card shows how it goes.", id.0)
}

/// One person stops it. Gives the text for them.
pub(crate) fn deny(draft: &mut Draft, cx: &mut Cx<'_>, id: &ApprovalId, said: (&Speaker, &str)) -> String {
    if let Some(text) = stopped(draft, cx, id, said) {
        return text;
    }
    let Some(approval) = find(draft, id) else { return not_now(draft, id) };
    let person = match may_stop(draft, cx, &approval, said.0) {
        Ok(person) => person,
        Err(text) => return text,
    };
    draft.happen(Event::Denied { approval: id.clone(), by: person.id, reason: said.1.to_owned() });
    advance(draft, cx);
    format!("You stopped {}. Nothing ran.", id.0)
}

/// A used approval is stopped as far as it still lives: its agreed undo.
fn stopped(draft: &mut Draft, cx: &Cx<'_>, id: &ApprovalId, said: (&Speaker, &str)) -> Option<String> {
    let person = cx.roster.person(said.0).cloned()?;
    agreed::stop(draft, cx, id, (&person, said.1))
}

/// Who asked for the approval of an agreed undo.
fn agreed_by(incident: &Incident, id: &ApprovalId) -> Option<PersonId> {
    crate::model::agreed::find(&incident.agreed, id).map(|p| p.approval.action.requester.clone())
}

/// The requester takes the request back, also in the moment between approval and start.
pub(crate) fn withdraw(draft: &mut Draft, cx: &mut Cx<'_>, id: &ApprovalId, by: &Speaker) -> String {
    let asked = draft.incident().and_then(|i| agreed_by(i, id)) == cx.roster.person(by).map(|p| p.id.clone());
    if let Some(text) = Some(()).filter(|()| asked).and_then(|()| stopped(draft, cx, id, (by, "withdrawn"))) {
        return text;
    }
    let Some(approval) = find(draft, id) else { return not_now(draft, id) };
    let Some(person) = cx.roster.person(by).filter(|p| p.id == approval.action.requester).cloned() else {
        return format!(
            "Only {} asked for it and may withdraw it; others deny it.",
            cx.roster.name(&approval.action.requester)
        );
    };
    let granted = matches!(approval.standing, Standing::Granted { .. })
        && draft.run().and_then(|r| r.current()).is_some_and(|(_, s)| s.phase == crate::model::run::Phase::Granted);
    if approval.standing != Standing::Open && !granted {
        return format!("Too late: {} is {}.", id.0, decided(&approval.standing, cx));
    }
    draft.happen(Event::Denied { approval: id.clone(), by: person.id, reason: "withdrawn".into() });
    advance(draft, cx);
    format!("You withdrew {}. Nothing ran.", id.0)
}

/// Whether this approval can still be decided by this speaker: known person, still open, in time, under
/// the rules it was asked under. Everything else is answered, and what is overdue is closed.
fn may_decide(draft: &mut Draft, cx: &mut Cx<'_>, approval: &Approval, by: &Speaker) -> Result<Person, String> {
    let Some(person) = cx.roster.person(by).cloned() else {
        draft.happen(Event::VoteRefused {
            approval: approval.id.clone(),
            who: format!("{}/{}", by.team, by.user),
            why: "not in the roster".into(),
        });
        return Err(stranger());
    };
    match &approval.standing {
        Standing::Open if cx.now > approval.action.decide_by => {
            draft.happen(Event::Expired { approval: approval.id.clone() });
            advance(draft, cx);
            Err(format!(
                "Too late: {} had to be decided by {}. `/dr next` asks again.",
                approval.id.0,
                approval.action.decide_by.clock()
            ))
        }
        Standing::Open => match start::unchanged_rules(approval, cx) {
            Ok(()) => Ok(person),
            Err(why) => {
                draft.happen(Event::Voided { approval: approval.id.clone(), why: why.clone() });
                advance(draft, cx);
                Err(format!("{} is void: {why}. `/dr next` asks again.", approval.id.0))
            }
        },
        other => Err(format!("Already decided: {} is {}.", approval.id.0, decided(other, cx))),
    }
}

/// Who decided what, in words.
pub(crate) fn decided(standing: &Standing, cx: &Cx<'_>) -> String {
    match standing {
        Standing::Denied { by, reason, at } => format!("denied by {} at {} ({reason})", cx.roster.name(by), at.clock()),
        Standing::Expired { at } => format!("expired at {}", at.clock()),
        Standing::Void { why, at } => format!("void since {} ({why})", at.clock()),
        other => other.word().to_owned(),
    }
}

fn find(draft: &Draft, id: &ApprovalId) -> Option<Approval> {
    draft.run().and_then(|r| r.approval(id)).cloned()
}

/// A manual step was reported by a person.
pub(crate) fn manual(draft: &mut Draft, cx: &mut Cx<'_>, who: (&Person, &str), what: (&str, bool)) -> String {
    let ((person, step), (evidence, done)) = (who, what);
    let waiting = draft.incident().and_then(|i| i.person.as_ref()).is_some_and(|(s, ..)| s == step);
    if !waiting {
        // The step may have been left out for later: its report still ends the clock.
        let clock = if done { deadline::done(draft, cx, person, (step, evidence)) } else { None };
        if let Some(text) = clock {
            return text;
        }
        return format!("Step `{step}` is not waiting for a person now. Nothing was changed.");
    }
    draft.happen(Event::PersonDid {
        step: step.to_owned(),
        by: person.id.clone(),
        evidence: evidence.to_owned(),
        done,
    });
    let clock = if done { deadline::done(draft, cx, person, (step, evidence)) } else { None };
    advance(draft, cx);
    if done {
        let clock = clock.map(|text| format!(" {text}")).unwrap_or_default();
        format!("Noted: `{step}` is done.{clock}")
    } else {
        format!("Noted: `{step}` cannot be done. The run is paused.")
    }
}

/// A timer of this case is due: an approval may have to expire.
pub(crate) fn due(draft: &mut Draft, cx: &mut Cx<'_>, effect: &EffectKey) {
    if effect.0.starts_with("wait/") {
        return flow::over(draft, cx, effect);
    }
    if agreed::owns(effect) {
        return agreed::due(draft, cx, effect);
    }
    if effect.0.starts_with("deadline/") {
        return deadline::due(draft, cx, effect);
    }
    let Some(id) = effect.0.strip_prefix("expire/").and_then(|k| k.rsplit('/').next()) else { return };
    let Some(approval) = find(draft, &ApprovalId(id.to_owned())) else { return };
    if approval.standing == Standing::Open && cx.now >= approval.action.decide_by {
        draft.happen(Event::Expired { approval: approval.id });
        advance(draft, cx);
    }
}

/// What the presser of a button hears that leads to nothing.
pub(crate) const STALE: &str = "This button does nothing any more.";

/// A button that leads to a case without buttons.
pub(crate) fn stale(draft: &mut Draft, cx: &mut Cx<'_>, click: &Click) -> Reply {
    let key = cx.ids.hex();
    draft.tell(&key, &click.by, (&click.place.channel, click.place.reply.as_deref()), STALE.into());
    Reply::Nothing
}

/// A button that no case knows: said to the person, since silence would look like a working button.
pub(crate) fn nowhere(cx: &mut Cx<'_>, click: &Click) -> Decision {
    let blank = crate::model::case::Case::new(crate::model::id::CaseId(super::route::CONTROL.into()));
    let mut draft = Draft::new(&blank, cx.now);
    let _ = stale(&mut draft, cx, click);
    Decision { effects: draft.out.effects, reply: Some(Reply::Nothing), ..Decision::default() }
}

pub(crate) fn stranger() -> String {
    "drbot does not know you: your account is not in its roster, so you may not do this. Ask an owner to add you."
        .into()
}

/// An id that leads to this case, but to nothing that waits: an earlier attempt, or no approval at all.
pub(crate) fn not_now(draft: &Draft, id: &ApprovalId) -> String {
    match draft.incident() {
        Some(incident) if id.0.len() == ApprovalId::LENGTH => format!(
            "Approval `{}` is from an earlier attempt in INC-{}; nothing runs with it any more. The card shows what is asked now.",
            id.0, incident.declared.number
        ),
        _ => unknown_approval(id),
    }
}

pub(crate) fn unknown_approval(id: &ApprovalId) -> String {
    format!("There is no approval `{}` in the store. If a card shows it, do not trust that card.", id.0)
}
