//! Messages as a person reads them. Takes text and blocks; gives plain lines.

use serde_json::Value;

/// The blocks top to bottom, or the text when there are none.
#[must_use]
pub fn render(text: &str, blocks: &[Value]) -> String {
    if blocks.is_empty() {
        return mrkdwn(text);
    }
    let lines: Vec<String> = blocks.iter().map(block).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

fn block(block: &Value) -> String {
    match block["type"].as_str().unwrap_or_default() {
        "divider" => "----".into(),
        "header" => text_object(&block["text"]),
        "section" => section(block),
        "context" => each(&block["elements"], element).join(" "),
        "actions" => each(&block["elements"], element).join(" "),
        "input" => format!("{}: ____", text_object(&block["label"])),
        "image" => block["alt_text"].as_str().unwrap_or_default().to_owned(),
        "rich_text" => each(&block["elements"], rich).join("\n"),
        _ => String::new(),
    }
}

fn section(block: &Value) -> String {
    let mut lines = Vec::new();
    if block.get("text").is_some() {
        lines.push(text_object(&block["text"]));
    }
    lines.extend(each(&block["fields"], text_object));
    if block.get("accessory").is_some() {
        lines.push(element(&block["accessory"]));
    }
    lines.join("\n")
}

fn element(element: &Value) -> String {
    match element["type"].as_str().unwrap_or_default() {
        "button" => format!("[{}]", text_object(&element["text"])),
        "mrkdwn" | "plain_text" => text_object(element),
        "image" => element["alt_text"].as_str().unwrap_or_default().to_owned(),
        other => format!("[{other}]"),
    }
}

fn rich(element: &Value) -> String {
    if element["type"] == "rich_text_list" {
        return each(&element["elements"], |item| format!("- {}", rich(item))).join("\n");
    }
    each(&element["elements"], leaf).concat()
}

fn leaf(leaf: &Value) -> String {
    let of = |key: &str| leaf[key].as_str().unwrap_or_default().to_owned();
    match leaf["type"].as_str().unwrap_or_default() {
        "link" if leaf.get("text").is_none() => of("url"),
        "user" => format!("@{}", of("user_id")),
        "channel" => format!("#{}", of("channel_id")),
        "broadcast" => format!("@{}", of("range")),
        "emoji" => format!(":{}:", of("name")),
        "date" => of("fallback"),
        _ => of("text"),
    }
}

fn each(list: &Value, show: impl Fn(&Value) -> String) -> Vec<String> {
    list.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(show).collect()
}

fn text_object(object: &Value) -> String {
    let text = object["text"].as_str().unwrap_or_default();
    if object["type"] == "mrkdwn" { mrkdwn(text) } else { text.to_owned() }
}

/// Slack's markup as it is shown: references by their label, entities as characters, code and bold
/// without their marks.
fn mrkdwn(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let Some(length) = rest[start..].find('>') else { break };
        shown.push_str(&rest[..start]);
        shown.push_str(&reference(&rest[start + 1..start + length]));
        rest = &rest[start + length + 1..];
    }
    shown.push_str(rest);
    let shown = unmarked(&shown.replace("```", ""));
    shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn reference(inside: &str) -> String {
    let (target, label) = inside.split_once('|').map_or((inside, None), |(t, l)| (t, Some(l)));
    match (target.chars().next(), label) {
        (Some('!'), Some(label)) => label.to_owned(),
        (Some('!'), None) => format!("@{}", &target[1..]),
        (Some('@' | '#'), Some(label)) => format!("{}{label}", &target[..1]),
        (_, Some(label)) => format!("{label} ({target})"),
        (_, None) => target.to_owned(),
    }
}

/// Without the marks of bold words and inline code, where they come in pairs on one line.
fn unmarked(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| drop_pairs(&drop_pairs(line, '`'), '*')).collect();
    lines.join("\n")
}

fn drop_pairs(line: &str, mark: char) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(mark) {
        let before = &rest[..start];
        let inside = &rest[start + 1..];
        let opens = !before.ends_with(char::is_alphanumeric) && !inside.starts_with(char::is_whitespace);
        let end = inside.find(mark).filter(|end| opens && *end > 0 && !inside[..*end].ends_with(char::is_whitespace));
        shown.push_str(before);
        match end {
            Some(end) => {
                shown.push_str(&inside[..end]);
                rest = &inside[end + 1..];
            }
            None => {
                shown.push(mark);
                rest = inside;
            }
        }
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::render;

    #[test]
    fn blocks_read_like_a_message() {
        let blocks = [
            json!({"type": "header", "text": {"type": "plain_text", "text": "Incident 1 <ok>"}}),
            json!({"type": "section", "text": {"type": "mrkdwn", "text": "*Bold* a &lt;b&gt; &amp;amp; `x` 2 * 3 * 4 <!date^1^{time}|at noon>"}}),
            json!({"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "select 1;\nselect 2"}]}]}),
            json!({"type": "actions", "elements": [
                {"type": "button", "text": {"type": "plain_text", "text": "Approve"}},
                {"type": "button", "text": {"type": "plain_text", "text": "Deny"}}]}),
        ];
        let read = render("fallback", &blocks);
        let expected = "Incident 1 <ok>\nBold a <b> &amp; x 2 * 3 * 4 at noon\nselect 1;\nselect 2\n[Approve] [Deny]";
        assert_eq!(read, expected);
    }

    #[test]
    fn without_blocks_the_text_is_shown() {
        assert_eq!(render("a &amp; <https://e.example|here>", &[]), "a & here (https://e.example)");
    }
}
