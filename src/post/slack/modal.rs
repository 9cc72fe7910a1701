//! Forms drawn as Slack modals. Takes a form; gives the JSON that Slack wants. Pure. The `block_id` and
//! `action_id` of a field are its id; every text goes where Slack does not parse it.

use serde_json::{Value, json};

use super::blocks::plain_text;
use super::limits::{LABEL, OPTION_TEXT, TEXT, VIEW_TITLE};
use super::text::{Layout, is_blank, short};
use crate::model::effect::AskForm;
use crate::model::form::{Field, FieldInput};

/// Draws a form: its fields, or the one text field `text`.
#[must_use]
pub fn modal(form: &AskForm) -> Value {
    let mut blocks = Vec::new();
    if !is_blank(&form.explain, Layout::Lines) {
        blocks.push(json!({"type": "section", "text": plain(&form.explain, Layout::Lines, TEXT, "(empty)")}));
    }
    if form.fields.is_empty() {
        blocks.push(json!({
            "type": "input",
            "block_id": "text",
            "label": plain(&form.label, Layout::Line, LABEL, "Text"),
            "element": {"type": "plain_text_input", "action_id": "text", "multiline": true, "max_length": TEXT},
        }));
    }
    blocks.extend(form.fields.iter().map(input));
    json!({
        "type": "modal",
        "callback_id": "drbot",
        "private_metadata": form.token.0,
        "title": plain(&form.title, Layout::Line, VIEW_TITLE, "drbot"),
        "submit": plain(&form.submit, Layout::Line, VIEW_TITLE, "Send"),
        "close": plain_text("Cancel"),
        "blocks": blocks,
    })
}

fn plain(text: &str, layout: Layout, room: usize, blank: &str) -> Value {
    plain_text(&short(text, layout, room, blank).0)
}

fn input(field: &Field) -> Value {
    let mut block = json!({
        "type": "input",
        "block_id": field.id,
        "label": plain(&field.label, Layout::Line, LABEL, "Value"),
        "element": element(field),
        "optional": field.optional,
    });
    if !is_blank(&field.hint, Layout::Line) {
        block["hint"] = plain(&field.hint, Layout::Line, LABEL, "(empty)");
    }
    block
}

fn element(field: &Field) -> Value {
    let set = field.value.as_deref().filter(|v| !v.is_empty());
    match &field.input {
        FieldInput::Line => {
            let mut element = json!({"type": "plain_text_input", "action_id": field.id, "max_length": TEXT});
            if let Some(value) = set.filter(|v| v.encode_utf16().count() <= TEXT) {
                element["initial_value"] = json!(value);
            }
            element
        }
        FieldInput::OneOf(values) => {
            let all: Vec<Value> = values.iter().map(|v| option(v, v)).collect();
            list(field, &all, false)
        }
        FieldInput::Pick { many, options } => {
            let all: Vec<Value> = options.iter().map(|(value, label)| option(value, label)).collect();
            list(field, &all, *many)
        }
    }
}

fn list(field: &Field, all: &[Value], many: bool) -> Value {
    let kind = if many { "multi_static_select" } else { "static_select" };
    let mut element = json!({"type": kind, "action_id": field.id, "options": all});
    let set: Vec<&str> =
        field.value.iter().flat_map(|v| if many { v.split(',').collect() } else { vec![v.as_str()] }).collect();
    let set: Vec<&Value> = all.iter().filter(|o| set.iter().any(|v| o["value"] == **v)).collect();
    match set.first() {
        Some(_) if many => element["initial_options"] = json!(set),
        Some(one) => element["initial_option"] = (*one).clone(),
        None => {}
    }
    element
}

fn option(value: &str, label: &str) -> Value {
    json!({"text": plain(label, Layout::Line, OPTION_TEXT, "(empty)"), "value": value})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::form::OPTION;
    use crate::model::id::ButtonId;
    use crate::post::slack::limits::faults;

    const HOSTILE: [&str; 5] = ["<!channel>", "*x* `y`", "\u{202e}txt.exe &lt;", "", " \u{200b}"];

    fn form(title: &str, explain: &str, fields: Vec<Field>) -> AskForm {
        AskForm {
            token: ButtonId("t".into()),
            title: title.into(),
            explain: explain.into(),
            label: "Reason".into(),
            submit: "Deny".into(),
            fields,
            otherwise: None,
        }
    }

    fn field(id: &str, input: FieldInput, value: Option<&str>) -> Field {
        let (label, hint) = (format!("{id} <label>"), "A name".to_owned());
        Field { id: id.into(), label, hint, optional: value.is_some(), value: value.map(str::to_owned), input }
    }

    #[test]
    fn one_text_field() {
        for text in HOSTILE.iter().map(|t| (*t).to_owned()).chain([HOSTILE.concat().repeat(200)]) {
            let drawn = modal(&AskForm { label: text.clone(), submit: text.clone(), ..form(&text, &text, vec![]) });
            assert_eq!(faults(&drawn), Vec::<String>::new());
            assert_eq!(drawn["private_metadata"], "t");
        }
        let drawn = modal(&form("Deny run 12 of runbook database", "Why?", vec![]));
        let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
        assert_eq!(drawn["title"], plain("Deny run 12 of run (cut)"));
        assert_eq!((&drawn["type"], &drawn["callback_id"]), (&json!("modal"), &json!("drbot")));
        assert_eq!(drawn["submit"], plain("Deny"));
        assert_eq!(drawn["blocks"][0], json!({"type": "section", "text": plain("Why?")}));
        let element = json!({"type": "plain_text_input", "action_id": "text", "multiline": true, "max_length": 3_000});
        let input = json!({"type": "input", "block_id": "text", "label": plain("Reason"), "element": element});
        assert_eq!(drawn["blocks"][1], input);
    }

    #[test]
    fn fields_fit_whatever_they_hold() {
        for text in HOSTILE.iter().map(|t| (*t).to_owned()).chain([HOSTILE.concat().repeat(200)]) {
            let typed = Field { label: text.clone(), hint: text.clone(), ..field("a", FieldInput::Line, Some(&text)) };
            let values = [text.clone(), "b".repeat(OPTION), "x".into()];
            let list = field("b", FieldInput::one_of(&values), Some(&text));
            assert_eq!(faults(&modal(&form(&text, &text, vec![typed, list]))), Vec::<String>::new());
        }
        let many: Vec<Field> = (0..99).map(|n| field(&format!("f{n}"), FieldInput::Line, None)).collect();
        assert_eq!(faults(&modal(&form("Run", "x", many))), Vec::<String>::new());
    }

    #[test]
    fn a_list_names_what_is_set_and_too_long_values_are_typed() {
        let values: Vec<String> = ["look", "rewind"].map(str::to_owned).to_vec();
        let drawn = modal(&form("Run", "", vec![field("repair", FieldInput::one_of(&values), Some("rewind"))]));
        let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
        let (look, rewind) =
            (json!({"text": plain("look"), "value": "look"}), json!({"text": plain("rewind"), "value": "rewind"}));
        let element = json!({"type": "static_select", "action_id": "repair", "options": [look, rewind], "initial_option": rewind});
        let block = json!({"type": "input", "block_id": "repair", "label": plain("repair <label>"),
            "hint": plain("A name"), "optional": true, "element": element});
        assert_eq!(drawn["blocks"], json!([block]));
        let options =
            vec![("7".to_owned(), "seven".to_owned()), ("8".into(), "x".repeat(300)), ("9".into(), String::new())];
        let several = |value| field("ids", FieldInput::Pick { many: true, options: options.clone() }, value);
        let drawn = modal(&form("Run", "", vec![several(Some("9,7")), Field { id: "none".into(), ..several(None) }]));
        assert_eq!(faults(&drawn), Vec::<String>::new());
        let element = &drawn["blocks"][0]["element"];
        assert_eq!(element["type"], "multi_static_select");
        let set: Vec<&Value> = element["initial_options"].as_array().unwrap().iter().map(|o| &o["value"]).collect();
        assert_eq!(set, ["7", "9"]);
        for odd in [vec!["x".repeat(OPTION + 1)], vec![], vec!["x".into(); 101], vec![" ".into()]] {
            assert_eq!(FieldInput::one_of(&odd), FieldInput::Line);
        }
    }
}
