//! What Slack accepts as a message or a modal. Takes JSON; gives Slack's error and the messages that
//! name the place.

use std::collections::BTreeSet;

use serde_json::Value;

use super::state::Slip;

const MESSAGE_BLOCKS: usize = 50;
const VIEW_BLOCKS: usize = 100;
/// Not documented; observed between 13,172 and 13,297.
const ALL_TEXT: usize = 13_200;
const VIEW_BYTES: usize = 250_000;

/// Checks a message.
///
/// # Errors
/// `no_text`, `invalid_blocks` or `msg_blocks_too_long`.
pub fn message(text: &str, blocks: &[Value]) -> Result<(), Slip> {
    if text.is_empty() && blocks.is_empty() {
        return Err(Slip::new("no_text"));
    }
    let messages = Look::new(false).all(blocks, MESSAGE_BLOCKS);
    if !messages.is_empty() {
        return Err(Slip { error: "invalid_blocks".into(), messages });
    }
    if blocks.iter().map(letters).sum::<usize>() > ALL_TEXT {
        return Err(Slip::new("msg_blocks_too_long"));
    }
    Ok(())
}

/// Checks a modal.
///
/// # Errors
/// `view_too_large` or `invalid_arguments`.
pub fn view(view: &Value) -> Result<(), Slip> {
    if view.to_string().len() > VIEW_BYTES {
        return Err(Slip::new("view_too_large"));
    }
    let mut look = Look::new(true);
    let keys = ["type", "title", "submit", "close", "blocks", "callback_id", "private_metadata", "notify_on_close"];
    look.keys(view, "/view", &keys);
    look.need(view["type"] == "modal", "unsupported type", "/view/type");
    look.text(&view["title"], "/view/title", (24, &["plain_text"]));
    for key in ["submit", "close"] {
        if view.get(key).is_some() {
            look.text(&view[key], &format!("/view/{key}"), (24, &["plain_text"]));
        }
    }
    look.string(view, "callback_id", "/view", 255);
    look.string(view, "private_metadata", "/view", 3000);
    let blocks = view["blocks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let asks = blocks.iter().any(|b| b["type"] == "input");
    look.need(!asks || view.get("submit").is_some(), "missing required field: submit", "/view");
    look.need(!blocks.is_empty(), "missing required field: blocks", "/view");
    let messages = look.all(blocks, VIEW_BLOCKS);
    if messages.is_empty() { Ok(()) } else { Err(Slip { error: "invalid_arguments".into(), messages }) }
}

/// The length of everything that is text inside.
fn letters(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(letters).sum(),
        Value::Object(map) => map
            .iter()
            .map(|(key, inner)| match inner {
                Value::String(text) if key == "text" => text.chars().count(),
                Value::String(_) => 0,
                other => letters(other),
            })
            .sum(),
        _ => 0,
    }
}

/// One pass over one payload.
struct Look {
    modal: bool,
    found: Vec<String>,
    block_ids: BTreeSet<String>,
}

impl Look {
    fn new(modal: bool) -> Look {
        Look { modal, found: Vec::new(), block_ids: BTreeSet::new() }
    }

    fn all(mut self, blocks: &[Value], most: usize) -> Vec<String> {
        self.need(blocks.len() <= most, &format!("no more than {most} items allowed"), "/blocks");
        for (index, block) in blocks.iter().enumerate() {
            self.block(block, &format!("/blocks/{index}"));
        }
        self.found
    }

    fn need(&mut self, holds: bool, complaint: &str, at: &str) {
        if !holds {
            self.found.push(format!("[ERROR] {complaint} [json-pointer:{at}]"));
        }
    }

    fn keys(&mut self, value: &Value, at: &str, known: &[&str]) {
        let Some(map) = value.as_object() else {
            self.need(false, "must provide an object", at);
            return;
        };
        for key in map.keys().filter(|k| !known.contains(&k.as_str())) {
            self.need(false, &format!("invalid additional property: {key}"), at);
        }
    }

    fn string(&mut self, value: &Value, key: &str, at: &str, most: usize) {
        if let Some(inner) = value.get(key) {
            let fits = inner.as_str().is_some_and(|s| s.chars().count() <= most);
            self.need(fits, &format!("must be a string of less than {} characters", most + 1), &format!("{at}/{key}"));
        }
    }

    fn text(&mut self, object: &Value, at: &str, (most, kinds): (usize, &[&str])) {
        self.keys(object, at, &["type", "text", "emoji", "verbatim"]);
        let kind = object["type"].as_str().unwrap_or_default();
        self.need(kinds.contains(&kind), "unsupported type", &format!("{at}/type"));
        self.need(kind == "mrkdwn" || object.get("verbatim").is_none(), "invalid additional property: verbatim", at);
        self.need(kind == "plain_text" || object.get("emoji").is_none(), "invalid additional property: emoji", at);
        let length = object["text"].as_str().map_or(0, |t| t.chars().count());
        self.need(length > 0, "must be more than 0 characters", &format!("{at}/text"));
        self.need(length <= most, &format!("must be less than {} characters", most + 1), &format!("{at}/text"));
    }

    fn block(&mut self, block: &Value, at: &str) {
        self.string(block, "block_id", at, 255);
        if let Some(id) = block["block_id"].as_str() {
            let fresh = self.block_ids.insert(id.to_owned());
            self.need(fresh, "block_id already exists", &format!("{at}/block_id"));
        }
        match block["type"].as_str().unwrap_or_default() {
            "divider" => self.keys(block, at, &["type", "block_id"]),
            "header" => {
                self.keys(block, at, &["type", "block_id", "text"]);
                self.text(&block["text"], &format!("{at}/text"), (150, &["plain_text"]));
            }
            "section" => self.section(block, at),
            "context" => {
                self.keys(block, at, &["type", "block_id", "elements"]);
                for (element, at) in self.list(block, at, 10) {
                    self.text(element, &at, (3000, &["mrkdwn", "plain_text"]));
                }
            }
            "actions" => {
                self.keys(block, at, &["type", "block_id", "elements"]);
                let mut ids = BTreeSet::new();
                for (element, at) in self.list(block, at, 25) {
                    self.button(element, &at);
                    let fresh = element["action_id"].as_str().is_none_or(|id| ids.insert(id.to_owned()));
                    self.need(fresh, "action_id already exists", &at);
                }
            }
            "rich_text" => {
                self.keys(block, at, &["type", "block_id", "elements"]);
                for (element, at) in self.list(block, at, usize::MAX) {
                    self.rich(element, &at);
                }
            }
            "input" if self.modal => self.input(block, at),
            other => self.need(false, &format!("unsupported type: {other}"), &format!("{at}/type")),
        }
    }

    fn list<'a>(&mut self, holder: &'a Value, at: &str, most: usize) -> Vec<(&'a Value, String)> {
        let items = holder["elements"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.need(!items.is_empty(), "must provide at least 1 item", &format!("{at}/elements"));
        self.need(items.len() <= most, &format!("no more than {most} items allowed"), &format!("{at}/elements"));
        items.iter().enumerate().map(|(i, item)| (item, format!("{at}/elements/{i}"))).collect()
    }

    fn section(&mut self, block: &Value, at: &str) {
        self.keys(block, at, &["type", "block_id", "text", "fields", "accessory", "expand"]);
        let fields = block["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.need(block.get("text").is_some() || !fields.is_empty(), "must provide text or fields", at);
        self.need(fields.len() <= 10, "no more than 10 items allowed", &format!("{at}/fields"));
        if block.get("text").is_some() {
            self.text(&block["text"], &format!("{at}/text"), (3000, &["mrkdwn", "plain_text"]));
        }
        for (index, field) in fields.iter().enumerate() {
            self.text(field, &format!("{at}/fields/{index}"), (2000, &["mrkdwn", "plain_text"]));
        }
        if block.get("accessory").is_some() {
            self.button(&block["accessory"], &format!("{at}/accessory"));
        }
    }

    fn button(&mut self, button: &Value, at: &str) {
        let known = ["type", "action_id", "text", "value", "style", "url", "confirm", "accessibility_label"];
        self.keys(button, at, &known);
        self.need(button["type"] == "button", "unsupported type", &format!("{at}/type"));
        self.text(&button["text"], &format!("{at}/text"), (75, &["plain_text"]));
        self.string(button, "action_id", at, 255);
        self.string(button, "value", at, 2000);
        self.string(button, "url", at, 3000);
        self.string(button, "accessibility_label", at, 75);
        let style = button.get("style").is_none_or(|s| s == "primary" || s == "danger");
        self.need(style, "invalid style", &format!("{at}/style"));
        let Some(confirm) = button.get("confirm") else { return };
        let at = format!("{at}/confirm");
        self.keys(confirm, &at, &["title", "text", "confirm", "deny", "style"]);
        self.text(&confirm["title"], &format!("{at}/title"), (100, &["plain_text"]));
        self.text(&confirm["text"], &format!("{at}/text"), (300, &["mrkdwn", "plain_text"]));
        self.text(&confirm["confirm"], &format!("{at}/confirm"), (30, &["plain_text"]));
        self.text(&confirm["deny"], &format!("{at}/deny"), (30, &["plain_text"]));
    }

    fn input(&mut self, block: &Value, at: &str) {
        self.keys(block, at, &["type", "block_id", "label", "element", "hint", "optional", "dispatch_action"]);
        self.text(&block["label"], &format!("{at}/label"), (2000, &["plain_text"]));
        if block.get("hint").is_some() {
            self.text(&block["hint"], &format!("{at}/hint"), (2000, &["plain_text"]));
        }
        self.need(block.get("optional").is_none_or(Value::is_boolean), "must be a boolean", &format!("{at}/optional"));
        let element = &block["element"];
        let at = format!("{at}/element");
        self.string(element, "action_id", &at, 255);
        if element.get("placeholder").is_some() {
            self.text(&element["placeholder"], &format!("{at}/placeholder"), (150, &["plain_text"]));
        }
        match element["type"].as_str().unwrap_or_default() {
            "plain_text_input" => self.typed(element, &at),
            "static_select" => {
                let known =
                    ["type", "action_id", "placeholder", "options", "initial_option", "focus_on_load", "confirm"];
                self.keys(element, &at, &known);
                self.options(element, &at);
                if let Some(set) = element.get("initial_option") {
                    self.set(element, set, &format!("{at}/initial_option"));
                }
            }
            "multi_static_select" => {
                let known = [
                    "type",
                    "action_id",
                    "placeholder",
                    "options",
                    "initial_options",
                    "max_selected_items",
                    "focus_on_load",
                    "confirm",
                ];
                self.keys(element, &at, &known);
                self.options(element, &at);
                let set = element.get("initial_options").map(|s| s.as_array().cloned().unwrap_or_default());
                self.need(
                    set.as_ref().is_none_or(|s| !s.is_empty()),
                    "must provide at least 1 item",
                    &format!("{at}/initial_options"),
                );
                for (index, one) in set.unwrap_or_default().iter().enumerate() {
                    self.set(element, one, &format!("{at}/initial_options/{index}"));
                }
                let most = element.get("max_selected_items").is_none_or(|m| m.as_u64().is_some_and(|m| m > 0));
                self.need(most, "must be more than 0", &format!("{at}/max_selected_items"));
            }
            _ => self.need(false, "unsupported type", &format!("{at}/type")),
        }
    }

    fn typed(&mut self, element: &Value, at: &str) {
        let known = [
            "type",
            "action_id",
            "multiline",
            "placeholder",
            "min_length",
            "max_length",
            "initial_value",
            "focus_on_load",
        ];
        self.keys(element, at, &known);
        let most = element.get("max_length").map_or(Some(3_000), Value::as_u64).filter(|m| (1..=3_000).contains(m));
        self.need(most.is_some(), "must be between 1 and 3000", &format!("{at}/max_length"));
        self.string(element, "initial_value", at, most.unwrap_or(3_000) as usize);
    }

    /// The options of a list; each value once, or what was chosen could not be told.
    fn options(&mut self, element: &Value, at: &str) {
        let options = element["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let at = format!("{at}/options");
        self.need(!options.is_empty(), "must provide at least 1 item", &at);
        self.need(options.len() <= 100, "no more than 100 items allowed", &at);
        let mut values = BTreeSet::new();
        for (index, option) in options.iter().enumerate() {
            let at = format!("{at}/{index}");
            self.keys(option, &at, &["text", "value", "description"]);
            self.text(&option["text"], &format!("{at}/text"), (75, &["plain_text"]));
            self.need(option["value"].as_str().is_some_and(|v| !v.is_empty()), "missing required field: value", &at);
            self.string(option, "value", &at, 75);
            self.need(values.insert(option["value"].as_str()), "value already exists", &at);
        }
    }

    fn set(&mut self, element: &Value, set: &Value, at: &str) {
        let there = element["options"].as_array().is_some_and(|all| all.contains(set));
        self.need(there, "initial option must match an option", at);
    }

    fn rich(&mut self, element: &Value, at: &str) {
        match element["type"].as_str().unwrap_or_default() {
            "rich_text_list" => {
                self.keys(element, at, &["type", "style", "indent", "offset", "border", "elements"]);
                let style = element["style"] == "bullet" || element["style"] == "ordered";
                self.need(style, "invalid style", &format!("{at}/style"));
                for (item, at) in self.list(element, at, usize::MAX) {
                    self.need(item["type"] == "rich_text_section", "unsupported type", &at);
                    self.rich(item, &at);
                }
            }
            "rich_text_section" | "rich_text_preformatted" | "rich_text_quote" => {
                self.keys(element, at, &["type", "border", "language", "elements"]);
                for (leaf, at) in self.list(element, at, usize::MAX) {
                    self.leaf(leaf, &at);
                }
            }
            other => self.need(false, &format!("unsupported type: {other}"), &format!("{at}/type")),
        }
    }

    fn leaf(&mut self, leaf: &Value, at: &str) {
        match leaf["type"].as_str().unwrap_or_default() {
            "text" => {
                self.keys(leaf, at, &["type", "text", "style"]);
                let said = leaf["text"].as_str().is_some_and(|t| !t.is_empty());
                self.need(said, "must be more than 0 characters", &format!("{at}/text"));
            }
            "link" => self.keys(leaf, at, &["type", "url", "text", "style", "unsafe"]),
            "user" => self.keys(leaf, at, &["type", "user_id", "style"]),
            "channel" => self.keys(leaf, at, &["type", "channel_id", "style"]),
            "emoji" => self.keys(leaf, at, &["type", "name", "unicode"]),
            "date" => self.keys(leaf, at, &["type", "timestamp", "format", "url", "fallback", "style"]),
            other => self.need(false, &format!("unsupported type: {other}"), &format!("{at}/type")),
        }
    }
}
