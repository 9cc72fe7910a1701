//! The parameters of a run that nobody gave: asked for in a form where one can be opened, told by text
//! always. Takes the wish and what was filled in; gives a form, complaints under its fields, or a run.

use std::collections::BTreeMap;

use super::approve::{self, Asking};
use super::draft::Draft;
use super::{Cx, pick, private, said};
use crate::model::catalog::Loaded;
use crate::model::effect::AskForm;
use crate::model::form::{FIELDS, Field, FieldInput};
use crate::model::inbound::{Form, FormPurpose, Place};
use crate::model::message::Reply;
use crate::model::param::{Param, ParamType};
use crate::model::person::{Person, Speaker};

/// What comes before a parameter's name in the id of its field.
const ID: &str = "param-";

/// Asks for what a run of this runbook lacks; `None` if it lacks nothing that could be asked.
pub(super) fn ask(
    draft: &mut Draft,
    cx: &mut Cx<'_>,
    from: (&Speaker, &Person, &Place),
    what: (&str, &BTreeMap<String, String>),
) -> Option<Reply> {
    let ((by, person, place), (name, given)) = (from, what);
    let loaded = cx.catalog.find(name).filter(|l| l.unusable.is_none() && l.only_known(given).is_ok())?;
    if missing(loaded, given).is_empty() {
        return None;
    }
    if let Some(why) = said::already(draft, cx, loaded) {
        return Some(private(why));
    }
    // What was given must be right before more is asked: a list could not even show it.
    let params = &loaded.runbook.params;
    if let Some(why) = given.iter().find_map(|(name, text)| params.get(name)?.read(name, text).err()) {
        return Some(private(format!("{why}.")));
    }
    let (line, lacks) = (line(loaded, given), lacks(loaded, given));
    if let Some(reply) = pick::ask(draft, cx, from, (loaded, given)) {
        return Some(reply);
    }
    let trigger = place.trigger.as_ref().filter(|_| loaded.asked() <= FIELDS);
    let Some(trigger) = trigger else { return Some(private(format!("{lacks}. Type `{line}`."))) };
    let form = form(cx, loaded, given, &BTreeMap::new());
    let purpose = FormPurpose::Run(loaded.runbook.runbook.clone());
    approve::open(draft, cx, Asking { by, channel: &place.channel, trigger }, (form, purpose, person));
    Some(private(format!("{lacks}. A form asks for it; or type `{line}`.")))
}

/// What can be chosen from, by parameter: value and text.
pub(super) type Lists = BTreeMap<String, Vec<(String, String)>>;

/// The form for a run of this runbook.
pub(super) fn form(cx: &mut Cx<'_>, loaded: &Loaded, given: &BTreeMap<String, String>, lists: &Lists) -> AskForm {
    AskForm {
        token: cx.ids.button(),
        title: "Start a runbook".into(),
        explain: format!("{} ({})", loaded.runbook.title, loaded.runbook.runbook),
        label: String::new(),
        submit: "Start".into(),
        fields: fields(loaded, given, lists),
        otherwise: Some(format!("Type `{}`.", line(loaded, given))),
    }
}

/// The parameters without a value, by name.
pub(super) fn missing<'a>(loaded: &'a Loaded, given: &BTreeMap<String, String>) -> Vec<&'a str> {
    let lacks = |name: &String, param: &Param| {
        param.default.is_none()
            && param.keep.is_none()
            && !loaded.defaults.contains_key(name)
            && !given.contains_key(name)
    };
    loaded.runbook.params.iter().filter(|(name, param)| lacks(name, param)).map(|(name, _)| name.as_str()).collect()
}

/// "`x` needs a value for `a`, `b`".
pub(super) fn lacks(loaded: &Loaded, given: &BTreeMap<String, String>) -> String {
    let names: Vec<String> = missing(loaded, given).iter().map(|n| format!("`{n}`")).collect();
    format!("`{}` needs a value for {}", loaded.runbook.runbook, names.join(", "))
}

/// The command that starts the same run by text.
pub(super) fn line(loaded: &Loaded, given: &BTreeMap<String, String>) -> String {
    let lacking = missing(loaded, given);
    let open = lacking.iter().map(|name| format!(" {name}=VALUE"));
    let given = given.iter().map(|(name, text)| format!(" {name}={text}"));
    format!("/dr run {}{}", loaded.runbook.runbook, given.chain(open).collect::<String>())
}

/// One field for each parameter: those that need a value first, then those that have one.
fn fields(loaded: &Loaded, given: &BTreeMap<String, String>, lists: &Lists) -> Vec<Field> {
    let known = loaded.known();
    let mut all: Vec<Field> = loaded
        .runbook
        .params
        .iter()
        .filter(|(_, param)| param.keep.is_none())
        .map(|(name, param)| {
            let value = given.get(name).or_else(|| known.get(name)).cloned();
            let takes = match lists.get(name) {
                Some(_) if param.many() => "Choose one or several.".to_owned(),
                Some(_) => "Choose one.".to_owned(),
                None => format!("{}.", param.takes()),
            };
            Field {
                id: format!("{ID}{name}"),
                label: name.clone(),
                hint: param.ask.as_ref().map_or(takes.clone(), |ask| format!("{ask} {takes}")),
                optional: known.contains_key(name),
                input: match (lists.get(name), param.kind) {
                    (Some(list), _) => FieldInput::Pick { many: param.many(), options: list.clone() },
                    (None, ParamType::Choice) => FieldInput::one_of(&param.values),
                    _ => FieldInput::Line,
                },
                value,
            }
        })
        .collect();
    all.sort_by_key(|f| f.optional);
    all
}

/// A form for this runbook was sent by the person who was asked: starts it as the command would. Gives the
/// text for them, or the complaint with which the form stays open.
pub(super) fn filled(draft: &mut Draft, cx: &mut Cx<'_>, from: (&Form, &Person), name: &str) -> Result<String, Reply> {
    let (form, person) = from;
    let (mut given, mut complaints) = (BTreeMap::new(), BTreeMap::new());
    let params = cx.catalog.find(name).map(|l| l.runbook.params.clone()).unwrap_or_default();
    for (id, text) in &form.values {
        let Some((name, param)) = id.strip_prefix(ID).and_then(|n| params.get_key_value(n)) else { continue };
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        given.insert(name.clone(), text.to_owned());
        if let Err(why) = param.read(name, text) {
            complaints.insert(id.clone(), format!("{why}."));
        }
    }
    let lacking = cx.catalog.find(name).map(|l| missing(l, &given)).unwrap_or_default();
    let empty = lacking.into_iter().map(|name| (format!("{ID}{name}"), format!("parameter `{name}` needs a value.")));
    complaints.extend(empty.filter(|(id, _)| form.values.contains_key(id)));
    if !complaints.is_empty() {
        return Err(Reply::FieldErrors(complaints));
    }
    said::start(draft, cx, person, (name, &given)).map_err(Reply::FormError)
}
