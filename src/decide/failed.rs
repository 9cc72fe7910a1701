//! A failed step that people are asked about: again, without it, or not at all. Takes a draft, a click or a
//! sent form; does exactly what the verb of the same name does.

use super::approve::{self, Asking};
use super::draft::Draft;
use super::{Cx, flow, said};
use crate::model::effect::AskForm;
use crate::model::event::Event;
use crate::model::flow::OnFail;
use crate::model::id::ButtonId;
use crate::model::inbound::{Click, FormPurpose};
use crate::model::message::Reply;
use crate::model::person::Person;
use crate::model::run::{Phase, Ways};

/// Asks, if the file says so. What people denied is paused without a question: they gave their answer.
pub(super) fn ask(draft: &mut Draft, cx: &mut Cx<'_>) {
    let Some((step, state)) = draft.run().and_then(|r| r.current()) else { return };
    let asks = step.on_fail == OnFail::Ask && state.phase == Phase::Failed && state.undoes.is_none();
    if !asks || flow::denied(state) {
        return;
    }
    let step = step.id.clone();
    let ways = Ways { retry: cx.ids.button(), skip: cx.ids.button(), abort: cx.ids.button() };
    for button in [&ways.retry, &ways.skip, &ways.abort] {
        draft.out.handle(button);
    }
    draft.happen(Event::FailureAsked { step, ways });
}

/// The step that is asked about now, with its buttons.
fn asked(draft: &Draft) -> Option<(String, Ways)> {
    draft.run()?.asked().map(|(step, ways)| (step.id.clone(), ways.clone()))
}

/// One of the buttons was pressed. Skipping and aborting ask for the reason first, as their verbs do, so that
/// one slip ends nothing.
pub(super) fn clicked(draft: &mut Draft, cx: &mut Cx<'_>, click: &Click) -> Option<String> {
    let found = asked(draft).filter(|(_, w)| [&w.retry, &w.skip, &w.abort].contains(&&click.button));
    let Some((step, ways)) = found else { return Some(EARLIER.into()) };
    let Some(person) = cx.roster.person(&click.by).cloned() else {
        let who = format!("{}/{}", click.by.team, click.by.user);
        draft.happen(Event::Refused { who, what: format!("button under {step}"), why: "not in the roster".into() });
        return Some(approve::stranger());
    };
    if click.button == ways.retry {
        return words(said::again(draft, cx, &person, Some(&step)));
    }
    let (title, label, submit, purpose) = if click.button == ways.skip {
        ("Go on without it", "Why can it be left out? The timeline will show it.", "Skip", FormPurpose::Skip(ways.skip))
    } else {
        (
            "End the run",
            "Why? No further step runs. The timeline will show it.",
            "Abort",
            FormPurpose::Abort(ways.abort),
        )
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
    approve::open(draft, cx, Asking::of(click), (form, purpose, &person));
    None
}

/// The reason was sent; the button behind it must still stand on the card.
pub(super) fn filled(draft: &mut Draft, cx: &mut Cx<'_>, who: (&Person, &ButtonId), reason: &str) -> String {
    let (person, button) = who;
    let reply = match asked(draft) {
        Some((step, ways)) if ways.skip == *button => flow::skip(draft, cx, person, (&step, reason)),
        Some((_, ways)) if ways.abort == *button => flow::abort(draft, person, reason),
        _ => return EARLIER.into(),
    };
    words(reply).unwrap_or_default()
}

/// The text of an answer.
fn words(reply: Reply) -> Option<String> {
    match reply {
        Reply::Private(message) => Some(message.notify),
        _ => None,
    }
}

const EARLIER: &str =
    "This button is from an earlier state of the incident; the card shows what is possible now. Nothing was done.";
