//! What a card shows, exactly. Takes a message; gives the text of its code blocks, so that it can be
//! compared byte for byte.

use serde_json::Value;

use crate::practice::slack::Message;

/// The code that stands right under the line with `heading`, put together if it was shown in pieces.
#[must_use]
pub fn code_under(message: &Message, heading: &str) -> String {
    let lists = message.blocks.iter().filter(|b| b["type"] == "rich_text");
    let (mut code, mut under) = (String::new(), false);
    for part in lists.flat_map(|b| b["elements"].as_array().map(Vec::as_slice).unwrap_or_default()) {
        let text = text(part);
        match part["type"] == "rich_text_preformatted" {
            true if under => code.push_str(&text),
            true => {}
            // The next line of words ends the code.
            false if under && !code.is_empty() => return code,
            false => under |= text.contains(heading),
        }
    }
    code
}

/// The statement on an approval card.
#[must_use]
pub fn statement(message: &Message) -> String {
    code_under(message, "Exactly this runs:")
}

/// The statement without the lines that say what is bound to it.
#[must_use]
pub fn sql(message: &Message) -> String {
    let shown = statement(message);
    shown.split_once("\n-- $1 (").map_or(shown.as_str(), |(sql, _)| sql).to_owned()
}

/// The rows on an approval card, without their header.
#[must_use]
pub fn rows(message: &Message) -> Vec<String> {
    code_under(message, "It touches").lines().skip(1).map(str::to_owned).collect()
}

fn text(part: &Value) -> String {
    let elements = part["elements"].as_array().map(Vec::as_slice).unwrap_or_default();
    elements.iter().filter_map(|e| e["text"].as_str()).collect()
}
