//! The limits of Slack's forms. Takes a modal as JSON; names what Slack would refuse in it. Pure.

use serde_json::{Map, Value};

use super::{Check, ID, Kind, LABEL, LONG, OPTION_TEXT, OPTIONS, TEXT, VIEW_TITLE, kind_of};

const VIEW_BLOCKS: usize = 100;
const VIEW_BYTES: usize = 250_000;

impl Check {
    pub(super) fn input(&mut self, block: &Map<String, Value>) {
        self.keys(block, &["block_id", "label", "element", "hint", "optional", "dispatch_action"]);
        self.text(block, "label", (Kind::Plain, LABEL), true);
        self.text(block, "hint", (Kind::Plain, LONG), false);
        if block.get("optional").is_some_and(|o| !o.is_boolean()) {
            self.fault("optional", "not true or false");
        }
        if !block.contains_key("element") {
            self.fault("element", "missing");
        }
        self.object(block, "element", |c, element| {
            c.id(element, "action_id");
            c.text(element, "placeholder", (Kind::Plain, 150), false);
            match kind_of(element) {
                "plain_text_input" => c.typed(element),
                "static_select" => c.list_of_options(element, "initial_option"),
                "multi_static_select" => c.list_of_options(element, "initial_options"),
                _ => c.fault("type", "only plain_text_input and lists are known here"),
            }
        });
    }

    fn typed(&mut self, element: &Map<String, Value>) {
        let known = ["action_id", "multiline", "min_length", "max_length", "initial_value", "placeholder"];
        self.keys(element, &[&known[..], &["focus_on_load", "dispatch_action_config"]].concat());
        if element.get("max_length").is_some_and(|n| !(1..=3_000).contains(&n.as_i64().unwrap_or(0))) {
            self.fault("max_length", "not a number from 1 to 3000");
        }
        self.string(element, "initial_value", TEXT, false);
    }

    fn list_of_options(&mut self, element: &Map<String, Value>, initial: &str) {
        self.keys(element, &["action_id", "options", initial, "placeholder", "focus_on_load"]);
        let options = element.get("options").unwrap_or(&Value::Null);
        self.list("options", options, OPTIONS, Check::option);
        let Some(set) = element.get(initial) else { return };
        let set = set.as_array().map_or_else(|| std::slice::from_ref(set), Vec::as_slice);
        if set.is_empty() || !options.as_array().is_some_and(|all| set.iter().all(|s| all.contains(s))) {
            self.fault(initial, "not one of the options");
        }
    }

    fn option(&mut self, option: &Map<String, Value>) {
        self.keys(option, &["text", "value"]);
        self.text(option, "text", (Kind::Plain, OPTION_TEXT), true);
        self.string(option, "value", OPTION_TEXT, true);
    }

    pub(super) fn view(&mut self, payload: &Value, view: &Map<String, Value>) {
        let known = ["title", "submit", "close", "blocks", "private_metadata", "callback_id", "external_id"];
        self.keys(view, &[&known[..], &["clear_on_close", "notify_on_close"]].concat());
        if kind_of(view) != "modal" {
            self.fault("type", "not a modal");
        }
        self.text(view, "title", (Kind::Plain, VIEW_TITLE), true);
        self.text(view, "close", (Kind::Plain, VIEW_TITLE), false);
        let blocks = view.get("blocks").unwrap_or(&Value::Null);
        let asks = blocks.as_array().is_some_and(|b| b.iter().any(|b| b["type"] == "input"));
        self.text(view, "submit", (Kind::Plain, VIEW_TITLE), asks);
        for (key, most) in [("private_metadata", TEXT), ("callback_id", ID), ("external_id", ID)] {
            self.string(view, key, most, false);
        }
        self.blocks(blocks, VIEW_BLOCKS);
        if payload.to_string().len() > VIEW_BYTES {
            self.fault("view", &format!("more than {VIEW_BYTES} bytes"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::post::slack::limits::faults;

    fn plain(text: &str) -> Value {
        json!({"type": "plain_text", "text": text})
    }

    #[test]
    fn forms_are_checked() {
        let element = json!({"type": "plain_text_input", "action_id": "text", "max_length": 3_000});
        let input = json!({"type": "input", "label": plain("Reason"), "element": element});
        let form = json!({"type": "modal", "title": plain("Deny"), "submit": plain("Deny"), "blocks": [input]});
        assert_eq!(faults(&form), Vec::<String>::new());
        for (path, value, fault) in [
            ("/type", json!("home"), "type: not a modal"),
            ("/title/text", json!("x".repeat(25)), "title.text: 25 characters, at most 24"),
            ("/submit", Value::Null, "submit: not an object"),
            ("/blocks/0/label/text", json!("x".repeat(2_001)), "blocks[0].label.text: 2001 characters, at most 2000"),
            ("/blocks/0/element/max_length", json!(3_001), "blocks[0].element.max_length: not a number from 1 to 3000"),
            (
                "/blocks/0/element/type",
                json!("number"),
                "blocks[0].element.type: only plain_text_input and lists are known here",
            ),
        ] {
            let mut bad = form.clone();
            *bad.pointer_mut(path).unwrap() = value;
            assert_eq!(faults(&bad), [fault]);
        }
        let mut bad = form;
        bad.as_object_mut().unwrap().remove("submit");
        assert_eq!(faults(&bad), ["submit: missing"]);
    }

    #[test]
    fn lists_are_checked() {
        let option = |text: &str, value: &str| json!({"text": plain(text), "value": value});
        let element = json!({"type": "static_select", "action_id": "a", "options": [option("A", "a"), option("B", "b")],
            "initial_option": option("B", "b")});
        let input = json!({"type": "input", "block_id": "x", "label": plain("Which"), "element": element});
        let form = json!({"type": "modal", "title": plain("Run"), "submit": plain("Run"), "blocks": [input]});
        assert_eq!(faults(&form), Vec::<String>::new());
        let at = "blocks[0].element";
        for (path, value, fault) in [
            ("/options", json!([]), format!("{at}.options: empty list")),
            ("/options", json!(vec![option("B", "b"); 101]), format!("{at}.options: 101 entries, at most 100")),
            (
                "/options/0",
                option(&"x".repeat(76), "a"),
                format!("{at}.options[0].text.text: 76 characters, at most 75"),
            ),
            ("/options/0", option("A", &"x".repeat(76)), format!("{at}.options[0].value: 76 characters, at most 75")),
            ("/initial_option", option("C", "b"), format!("{at}.initial_option: not one of the options")),
        ] {
            let mut bad = form.clone();
            *bad.pointer_mut(&format!("/blocks/0/element{path}")).unwrap() = value;
            assert_eq!(faults(&bad).first(), Some(&fault));
        }
    }
}
