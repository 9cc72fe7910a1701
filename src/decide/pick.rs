//! Parameters that are chosen from a live list. No form can wait for a query, so the list is fetched first
//! and its person then gets a button. Takes the wish, what came back and the click; gives questions, a
//! message with the button, and the form.

use std::collections::{BTreeMap, BTreeSet};

use super::approve::{self, Asking};
use super::draft::Draft;
use super::params::{self, Lists};
use super::{Cx, private, render};
use crate::model::catalog::Loaded;
use crate::model::effect::{Act, Lane};
use crate::model::event::Event;
use crate::model::expect::Rows;
use crate::model::form::{FIELDS, OPTION, OPTIONS, Picking};
use crate::model::id::{ButtonId, EffectKey};
use crate::model::inbound::{Click, FormPurpose, Place};
use crate::model::message::{Button, Message, Part, Reply, Style, runs};
use crate::model::outcome::Outcome;
use crate::model::person::{Person, Speaker};
use crate::model::runbook::Pick;

/// Has the lists fetched that a run lacks; `None` if it lacks none, or no form could show them.
pub(super) fn ask(
    draft: &mut Draft,
    cx: &mut Cx<'_>,
    from: (&Speaker, &Person, &Place),
    what: (&Loaded, &BTreeMap<String, String>),
) -> Option<Reply> {
    let ((by, person, place), (loaded, given)) = (from, what);
    let params = &loaded.runbook.params;
    let lacking = params::missing(loaded, given).into_iter();
    let picks: Vec<(&str, &Pick)> = lacking.filter_map(|name| Some((name, params.get(name)?.pick.as_ref()?))).collect();
    if picks.is_empty() || loaded.asked() > FIELDS {
        return None;
    }
    let mut values = loaded.known();
    values.extend(given.iter().filter_map(|(n, text)| Some((n.clone(), params.get(n)?.read(n, text).ok()?))));
    let questions: Result<Vec<_>, String> = picks.iter().map(|(name, p)| render::pick(name, p, &values)).collect();
    let (lacks, line) = (params::lacks(loaded, given), params::line(loaded, given));
    let questions = match questions {
        Ok(questions) => questions,
        Err(why) => return Some(private(format!("{lacks}, and it cannot be listed: {why}. Type `{line}`."))),
    };
    let token = cx.ids.button();
    draft.out.handle(&token);
    let picking = Picking {
        token: token.clone(),
        runbook: loaded.runbook.runbook.clone(),
        given: given.clone(),
        by: by.clone(),
        person: person.id.clone(),
        channel: place.channel.clone(),
        thread: place.thread.clone(),
        lists: picks.iter().map(|(name, _)| ((*name).to_owned(), None)).collect(),
    };
    draft.happen(Event::PickAsked { picking: Box::new(picking) });
    for question in questions {
        let (key, acts_on) = (key(draft, &token, &question.id), question.target.clone());
        draft.effect(
            key,
            Lane::Check,
            cx.now,
            Act::Look { question: Some(Box::new(question)), acts_on, changes: false },
        );
    }
    let names: Vec<String> = picks.iter().map(|(name, _)| format!("`{name}`")).collect();
    Some(private(format!("{lacks}. Listing {}; a button to choose follows. Or type `{line}`.", names.join(", "))))
}

fn key(draft: &Draft, token: &ButtonId, param: &str) -> EffectKey {
    EffectKey::of(&["pick", &draft.case.id.0, &token.0, param])
}

/// A list came back.
pub(super) fn came(draft: &mut Draft, cx: &mut Cx<'_>, effect: &EffectKey, outcome: &Outcome) {
    let Some((picking, param)) = waiting(draft, effect) else { return };
    let Some(loaded) = cx.catalog.find(&picking.runbook).cloned() else { return };
    let Some(pick) = loaded.runbook.params.get(&param).and_then(|p| p.pick.as_ref()) else { return };
    let list = match outcome {
        Outcome::Previewed { rows, .. } => options(pick, rows),
        Outcome::NoPreview { why } => Err(why.clone()),
        _ => return,
    };
    let (token, line) = (picking.token.clone(), params::line(&loaded, &picking.given));
    let (options, why) = match list {
        Ok(options) => (options, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    draft.happen(Event::Picked { token: token.clone(), param: param.clone(), options, why: why.clone() });
    if let Some(why) = why {
        let text = format!("`{param}` cannot be chosen from a list: {why}. Type `{line}`.");
        return tell(draft, cx, &picking, Message::text(text));
    }
    if behind(draft, &token).is_some_and(|p| p.lists.values().all(Option::is_some)) {
        let text = format!("{}: the list is here. Or type `{line}`.", params::lacks(&loaded, &picking.given));
        let button = Button { id: token, label: "Choose".into(), style: Style::Primary };
        let parts = vec![Part::Text(runs(&text)), Part::Buttons(vec![button])];
        tell(draft, cx, &picking, Message { notify: text, parts });
    }
}

/// The wish that a question belongs to, and the parameter it lists.
fn waiting(draft: &Draft, effect: &EffectKey) -> Option<(Picking, String)> {
    let picks = draft.incident()?.picks.iter();
    let mut open = picks.flat_map(|p| p.lists.iter().filter(|(_, l)| l.is_none()).map(move |(name, _)| (p, name)));
    let (picking, name) = open.find(|(p, name)| key(draft, &p.token, name) == *effect)?;
    Some((picking.clone(), name.clone()))
}

/// The rows as value and text.
fn options(pick: &Pick, rows: &Rows) -> Result<Vec<(String, String)>, String> {
    let column = |name: &String| rows.column(name).ok_or_else(|| format!("the answer has no column `{name}`"));
    let (value, label) = (column(&pick.value)?, pick.label.as_ref().map(column).transpose()?);
    if rows.count() > OPTIONS as u64 {
        return Err(format!("there are {} rows, and a list holds {OPTIONS}", rows.count()));
    }
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for row in &rows.rows {
        let cell = |at: usize| row.get(at).cloned().flatten();
        let Some(text) = cell(value).filter(|v| !v.trim().is_empty()) else { continue };
        if text.encode_utf16().count() > OPTION {
            return Err(format!("a value is longer than the {OPTION} characters that a list takes"));
        }
        if seen.insert(text.clone()) {
            let label = label.and_then(cell).unwrap_or_else(|| text.clone());
            all.push((text, label));
        }
    }
    if all.is_empty() { Err("there is nothing to choose from".into()) } else { Ok(all) }
}

fn tell(draft: &mut Draft, cx: &mut Cx<'_>, picking: &Picking, message: Message) {
    let (to, channel) = (picking.by.clone(), picking.channel.clone());
    let act = Act::Tell { to, channel, reply: None, thread: picking.thread.clone(), message };
    let key = EffectKey::of(&["tell", &cx.ids.hex()]);
    draft.effect(key, Lane::Approval, cx.now, act);
}

/// The wish that a button stands for.
pub(super) fn behind(draft: &Draft, button: &ButtonId) -> Option<Picking> {
    draft.incident()?.picks.iter().find(|p| p.token == *button).cloned()
}

/// The button was pressed: opens the form. Gives what the person is told instead.
pub(super) fn clicked(draft: &mut Draft, cx: &mut Cx<'_>, click: &Click, picking: &Picking) -> Option<String> {
    let person = cx.roster.person(&click.by).filter(|p| p.id == picking.person).cloned();
    let Some(person) = person else { return Some("This list is for the person who asked for it.".into()) };
    let Some(loaded) = cx.catalog.find(&picking.runbook).cloned() else { return Some(approve::STALE.into()) };
    let lists: Option<Lists> = picking.lists.iter().map(|(name, list)| Some((name.clone(), list.clone()?))).collect();
    let Some(lists) = lists else { return Some("The list is not here yet.".into()) };
    let form = params::form(cx, &loaded, &picking.given, &lists);
    let purpose = FormPurpose::Run(loaded.runbook.runbook.clone());
    approve::open(draft, cx, Asking::of(click), (form, purpose, &person));
    None
}
