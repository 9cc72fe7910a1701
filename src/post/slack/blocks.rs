//! Messages drawn as Slack blocks. Takes a `Message` or a form; gives the JSON that Slack wants. Pure.
//! Every text goes into a field that Slack does not parse, except the notification, which is escaped.

use serde_json::{Value, json};

use super::draft::{Draft, Look, drafts, label, select, share, source};
use super::limits::{BUDGET, HEADER, LABEL, TEXT, VIEW_TITLE};
use super::text::{Layout, chunks, cost, fit, is_blank, short};
use crate::model::effect::AskForm;
use crate::model::message::{Button, Message, Run, Style};

/// How long the notification may be; Slack advises 4,000 at most.
const NOTIFY: usize = 3_900;
/// Room kept for the sentence that says what is missing.
const NOTICE: usize = 70;

/// Marks a text that is an account: drawn as a mention, which rings that person's bell.
const PERSON: &str = "person";

/// A drawn message.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// `text` and `blocks`.
    pub payload: Value,
    /// Whether the blocks leave something out. They say so themselves, with the amount.
    pub cut: bool,
}

/// Draws a message.
#[must_use]
pub fn message(message: &Message) -> Rendered {
    let mut drafts: Vec<Draft> = message.parts.iter().flat_map(drafts).collect();
    if drafts.is_empty() {
        // Without a block Slack would show the notification itself, and parse it.
        let blank = is_blank(&message.notify, Layout::Lines);
        let text = if blank { "(empty)" } else { &message.notify };
        drafts.push(Draft::one(text, Layout::Lines, Look::Text));
    }
    let (kept, dropped) = select(drafts);
    let fixed: usize = kept.iter().map(Draft::fixed).sum();
    let demands: Vec<usize> = kept.iter().map(Draft::demand).filter(|d| *d > 0).collect();
    let share = share(demands, BUDGET - NOTICE - fixed);
    let mut page = Page::default();
    for draft in &kept {
        page.draw(draft, share);
    }
    page.miss(&dropped);
    let (text, _) = short(&message.notify, Layout::Parsed, NOTIFY, "(no text)");
    Rendered { payload: json!({"text": text, "blocks": page.blocks}), cut: page.cut }
}

/// Draws a form with one text field; `block_id` and `action_id` of the field are `text`.
#[must_use]
pub fn modal(form: &AskForm) -> Value {
    let plain = |text: &str, layout, room, blank| plain_text(&short(text, layout, room, blank).0);
    let mut blocks = Vec::new();
    if !is_blank(&form.explain, Layout::Lines) {
        blocks.push(json!({"type": "section", "text": plain(&form.explain, Layout::Lines, TEXT, "(empty)")}));
    }
    blocks.push(json!({
        "type": "input",
        "block_id": "text",
        "label": plain(&form.label, Layout::Line, LABEL, "Text"),
        "element": {"type": "plain_text_input", "action_id": "text", "multiline": true, "max_length": TEXT},
    }));
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

/// The blocks so far.
#[derive(Default)]
struct Page {
    blocks: Vec<Value>,
    buttons: usize,
    rows: usize,
    cut: bool,
}

impl Page {
    fn draw(&mut self, draft: &Draft<'_>, share: usize) {
        let block = match draft {
            Draft::Rule => json!({"type": "divider"}),
            Draft::Buttons(buttons) => self.actions(buttons),
            Draft::Rich { runs, look } => {
                let whole = draft.demand() <= share;
                let (shown, hidden) = shown(runs, if whole { share } else { share - NOTICE });
                self.cut |= hidden > 0;
                text_block(*look, &shown, hidden)
            }
        };
        self.blocks.push(block);
    }

    fn actions(&mut self, buttons: &[Button]) -> Value {
        let elements: Vec<Value> = buttons
            .iter()
            .map(|button| {
                let (label, cut) = label(button);
                self.cut |= cut;
                self.buttons += 1;
                let mut element = json!({
                    "type": "button",
                    "action_id": format!("b{}", self.buttons - 1),
                    "text": plain_text(&label),
                    "value": button.id.0,
                });
                match button.style {
                    Style::Plain => {}
                    Style::Primary => element["style"] = json!("primary"),
                    Style::Danger => element["style"] = json!("danger"),
                }
                element
            })
            .collect();
        self.rows += 1;
        json!({"type": "actions", "block_id": format!("buttons-{}", self.rows - 1), "elements": elements})
    }

    /// Says what got no block at all.
    fn miss(&mut self, dropped: &[Draft<'_>]) {
        let (mut texts, mut buttons) = (0, 0);
        for draft in dropped {
            match draft {
                Draft::Rich { runs, .. } => texts += runs.iter().map(|(r, _)| source(r).chars().count()).sum::<usize>(),
                Draft::Buttons(row) => buttons += row.len(),
                Draft::Rule => {}
            }
        }
        let said = match (texts, buttons) {
            (0, 0) => return,
            (_, 0) => notice(texts),
            (0, _) => format!("({buttons} buttons not shown here: /dr show)"),
            _ => format!("({texts} characters, {buttons} buttons not shown here: /dr show)"),
        };
        self.cut = true;
        self.blocks.push(json!({"type": "rich_text", "elements": [section(vec![element(&said, "bold")])]}));
    }
}

/// The runs as far as they fit, as text and style, and the number of characters that did not.
fn shown(runs: &[(Run, Layout)], mut room: usize) -> (Vec<(String, &'static str)>, usize) {
    let (mut all, mut hidden) = (Vec::new(), 0);
    for (run, layout) in runs {
        // After a gap nothing may follow, or the two ends would read as one text.
        let fitted = fit(source(run), *layout, if hidden > 0 { 0 } else { room });
        room -= cost(&fitted.text).min(room);
        hidden += fitted.hidden;
        let style = match run {
            Run::Plain(_) => "",
            Run::Bold(_) => "bold",
            Run::Code(_) => "code",
            Run::Person { account, .. } if fitted.hidden == 0 => {
                all.push((account.clone(), PERSON));
                continue;
            }
            Run::Person { .. } => "bold",
        };
        all.extend(chunks(&fitted.text, TEXT).into_iter().map(|text| (text, style)));
    }
    (all, hidden)
}

fn text_block(look: Look, shown: &[(String, &str)], hidden: usize) -> Value {
    if look == Look::Title && hidden == 0 && shown.len() == 1 && cost(&shown[0].0) <= HEADER {
        return json!({"type": "header", "text": plain_text(&shown[0].0)});
    }
    let said = (hidden > 0).then(|| notice(hidden));
    if look == Look::Small {
        let texts = shown.iter().map(|(text, _)| text).filter(|t| !t.trim().is_empty()).chain(&said);
        return json!({"type": "context", "elements": texts.map(|t| plain_text(t)).collect::<Vec<_>>()});
    }
    let mut elements: Vec<Value> = shown.iter().map(|(text, style)| element(text, style)).collect();
    if look != Look::Code {
        elements.extend(said.map(|s| element(&format!("\n{s}"), "bold")));
        return json!({"type": "rich_text", "elements": [section(elements)]});
    }
    // Outside the code, so that nobody takes the sentence for a part of it.
    let mut parts = vec![json!({"type": "rich_text_preformatted", "elements": elements})];
    parts.extend(said.map(|s| section(vec![element(&s, "bold")])));
    json!({"type": "rich_text", "elements": parts})
}

fn notice(hidden: usize) -> String {
    format!("(... {hidden} more characters not shown here: /dr show)")
}

fn section(elements: Vec<Value>) -> Value {
    json!({"type": "rich_text_section", "elements": elements})
}

fn element(text: &str, style: &str) -> Value {
    if style == PERSON {
        return json!({"type": "user", "user_id": text});
    }
    if style.is_empty() {
        return json!({"type": "text", "text": text});
    }
    json!({"type": "text", "text": text, "style": {style: true}})
}

fn plain_text(text: &str) -> Value {
    json!({"type": "plain_text", "text": text, "emoji": false})
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::id::ButtonId;
    use crate::model::message::Part;
    use crate::post::slack::limits::faults;

    const HOSTILE: [&str; 12] = [
        "<!channel>",
        "<@U1>",
        "<http://x.test|click>",
        "*x*",
        "_x_ ~y~",
        "```fence``` `tick`",
        "\u{202e}txt.exe",
        "&lt;!here&gt;",
        "&amp;lt;",
        "zero\u{200b}width",
        ":fire: @here #general",
        "",
    ];

    fn button(label: &str, style: Style) -> Button {
        Button { id: ButtonId("0123456789abcdef0123456789abcdef".into()), label: label.into(), style }
    }

    fn strings(value: &Value, under: &str, found: &mut Vec<(String, String)>) {
        match value {
            Value::String(s) => found.push((under.to_owned(), s.clone())),
            Value::Array(items) => items.iter().for_each(|v| strings(v, under, found)),
            Value::Object(map) => {
                let kind = map.get("type").and_then(Value::as_str).unwrap_or(under);
                map.values().for_each(|v| strings(v, kind, found));
            }
            _ => {}
        }
    }

    /// What must hold for every drawing.
    fn check(drawn: &Rendered) {
        assert_eq!(faults(&drawn.payload), Vec::<String>::new());
        let mut found = Vec::new();
        strings(&drawn.payload, "top", &mut found);
        for (kind, text) in &found {
            // Only the notification is parsed, so only there a token could come to life.
            assert_ne!(kind, "mrkdwn");
            assert!(kind != "top" || !text.contains(['<', '>']), "{text}");
            assert!(!text.contains(['\u{202e}', '\u{200b}', '\0']), "{text:?}");
            assert!(kind == "top" || !["&lt;", "&gt;", "&amp;"].iter().any(|e| text.contains(e)), "{text}");
        }
        let blocks = drawn.payload["blocks"].to_string();
        assert_eq!(drawn.cut, blocks.contains("not shown here: /dr show") || blocks.contains(" (cut)"), "{blocks}");
    }

    fn texts(drawn: &Rendered) -> String {
        let mut found = Vec::new();
        strings(&drawn.payload["blocks"], "", &mut found);
        let shown = found.into_iter().filter(|(kind, text)| (kind == "text" || kind == "plain_text") && kind != text);
        shown.map(|(_, text)| text).collect()
    }

    #[test]
    fn each_part_becomes_its_block() {
        let parts = vec![
            Part::Title("INC-12 & more".into()),
            Part::Text(vec![Run::Plain("Run ".into()), Run::Bold("now".into()), Run::Code("select 1 < 2".into())]),
            Part::Facts(vec![("Rows".into(), "3".into()), ("By".into(), "eve\nRows: 0".into())]),
            Part::Code("delete from a\nwhere b < 2;".into()),
            Part::Small("valid until 22:14".into()),
            Part::Rule,
            Part::Buttons(vec![button("Approve", Style::Primary), button("Deny", Style::Danger)]),
            Part::Buttons(vec![button("More", Style::Plain)]),
        ];
        let drawn = message(&Message { notify: "a < b & c".into(), parts });
        check(&drawn);
        assert!(!drawn.cut);
        let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
        let text = |text: &str| json!({"type": "text", "text": text});
        let bold = |text: &str| json!({"type": "text", "text": text, "style": {"bold": true}});
        let rich = |kind: &str, elements: Value| json!({"type": "rich_text", "elements": [{"type": format!("rich_text_{kind}"), "elements": elements}]});
        let id = "0123456789abcdef0123456789abcdef";
        let push = |action: &str, label: &str| json!({"type": "button", "action_id": action, "text": plain(label), "value": id});
        let (mut yes, mut no) = (push("b0", "Approve"), push("b1", "Deny"));
        (yes["style"], no["style"]) = (json!("primary"), json!("danger"));
        let code = json!({"type": "text", "text": "select 1 < 2", "style": {"code": true}});
        let blocks = json!([
            {"type": "header", "text": plain("INC-12 & more")},
            rich("section", json!([text("Run "), bold("now"), code])),
            rich("section", json!([
                bold("Rows"), text(": "), text("3"),
                text("\n"), bold("By"), text(": "), text("eve\\u{a}Rows: 0"),
            ])),
            rich("preformatted", json!([text("delete from a\nwhere b < 2;")])),
            {"type": "context", "elements": [plain("valid until 22:14")]},
            {"type": "divider"},
            {"type": "actions", "block_id": "buttons-0", "elements": [yes, no]},
            {"type": "actions", "block_id": "buttons-1", "elements": [push("b2", "More")]},
        ]);
        assert_eq!(drawn.payload, json!({"text": "a &lt; b &amp; c", "blocks": blocks}));
    }

    #[test]
    fn long_code_leaves_the_rest_whole_and_says_what_is_missing() {
        let code: String = (0..20_000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
        let parts = vec![
            Part::Title("Approve?".into()),
            Part::Code(code.clone()),
            Part::Small("digest 1f2e3d4c5b6a".into()),
            Part::Buttons(vec![button("Approve", Style::Primary)]),
        ];
        let drawn = message(&Message { notify: "n".into(), parts });
        check(&drawn);
        assert!(drawn.cut);
        let said = drawn.payload["blocks"][1]["elements"][1]["elements"][0]["text"].as_str().unwrap();
        let shown: String = drawn.payload["blocks"][1]["elements"][0]["elements"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["text"].as_str().unwrap())
            .collect();
        assert!(code.starts_with(&shown) && shown.len() > 11_000);
        assert_eq!(said, format!("(... {} more characters not shown here: /dr show)", code.len() - shown.len()));
        assert!(texts(&drawn).ends_with("digest 1f2e3d4c5b6aApprove"));
        let whole = message(&Message { notify: "n".into(), parts: vec![Part::Code(code[..10_000].into())] });
        assert!(!whole.cut && texts(&whole) == code[..10_000]);
    }

    #[test]
    fn buttons_come_before_text_and_a_cut_label_says_so() {
        let mut parts: Vec<Part> = (0..60).map(|n| Part::Code(format!("{n:02}"))).collect();
        parts.push(Part::Buttons(vec![button(&"a".repeat(76), Style::Plain)]));
        let drawn = message(&Message { notify: "n".into(), parts: parts.clone() });
        check(&drawn);
        assert!(drawn.cut);
        assert_eq!(drawn.payload["blocks"][48]["elements"][0]["text"]["text"], "a".repeat(69) + " (cut)");
        assert!(texts(&drawn).ends_with("(... 24 more characters not shown here: /dr show)"));
        check(&message(&Message { notify: "n".into(), parts: parts.split_off(60) }));
    }

    #[test]
    fn nothing_follows_a_gap() {
        let runs = vec![Run::Plain("\u{202e}".repeat(2_000)), Run::Bold("z".into())];
        let shown = texts(&message(&Message { notify: "n".into(), parts: vec![Part::Text(runs)] }));
        assert!(shown.contains("\\u{202e}\n(... ") && !shown.contains('z'), "{shown}");
    }

    #[test]
    fn the_worst_messages_still_fit() {
        let many = |n: usize, part: &dyn Fn(usize) -> Part| (0..n).map(part).collect::<Vec<_>>();
        let facts =
            |n: usize, text: &str| Part::Facts((0..n).map(|i| (format!("{i}{text}"), text.repeat(20))).collect());
        let buttons = |n: usize, label: &str| Part::Buttons((0..n).map(|_| button(label, Style::Danger)).collect());
        let mut tables = vec![
            vec![],
            vec![Part::Title(" \n".into()), Part::Small(String::new()), Part::Facts(vec![]), Part::Buttons(vec![])],
            many(60, &|n| Part::Title(format!("{n}{}", "&".repeat(400)))),
            many(60, &|_| Part::Title("t".repeat(150))),
            many(120, &|_| Part::Rule),
            many(70, &|_| buttons(60, &"&".repeat(80))),
            many(70, &|_| buttons(26, "b")),
            vec![buttons(400, &"\u{202e}".repeat(80)), Part::Code("x".repeat(10_000))],
            vec![Part::Small(" ".repeat(7_000) + "x"), Part::Small("y".repeat(20_000))],
            vec![Part::Text(vec![Run::Code("😀".repeat(9_000)), Run::Bold("z".into())])],
        ];
        for text in HOSTILE {
            tables.push(vec![
                Part::Title(text.into()),
                Part::Code(text.repeat(10_000)),
                facts(200, text),
                Part::Text(vec![Run::Plain(text.into()), Run::Bold(text.into()), Run::Code(text.into())]),
                Part::Small(text.repeat(50)),
                Part::Buttons(vec![button(text, Style::Plain)]),
            ]);
        }
        for parts in tables {
            for notify in ["", " ", "<!channel> & *x*", &"<&>".repeat(5_000), &"😀".repeat(5_000)] {
                check(&message(&Message { notify: notify.into(), parts: parts.clone() }));
            }
        }
    }

    #[test]
    fn the_notification_is_escaped_and_says_that_it_is_cut() {
        let text = |notify: String| message(&Message::text(notify)).payload["text"].as_str().unwrap().to_owned();
        assert_eq!(text("<!channel> &lt; \u{202e}".into()), "&lt;!channel&gt; &amp;lt; \\u{202e}");
        assert_eq!(text("a".repeat(3_900)), "a".repeat(3_900));
        assert_eq!(text("a".repeat(3_901)), "a".repeat(3_894) + " (cut)");
        assert_eq!(text("<".repeat(975)), "&lt;".repeat(975));
        assert_eq!(text("<".repeat(976)), "&lt;".repeat(973) + " (cut)");
        // Nothing but a notification: it is drawn in a block, where `*` stays `*`.
        let drawn = message(&Message { notify: "*a* \u{202e}".into(), parts: vec![] });
        assert_eq!(texts(&drawn), "*a* \\u{202e}");
    }

    #[test]
    fn forms_fit_too() {
        for text in HOSTILE.iter().map(|t| (*t).to_owned()).chain([HOSTILE.concat().repeat(200)]) {
            let token = ButtonId("0123456789abcdef0123456789abcdef".into());
            let (title, explain, label) = (text.clone(), text.clone(), text.clone());
            let drawn = modal(&AskForm { token, title, explain, label, submit: text });
            assert_eq!(faults(&drawn), Vec::<String>::new());
            assert_eq!(drawn["private_metadata"], "0123456789abcdef0123456789abcdef");
        }
        let (title, explain) = ("Deny run 12 of runbook database".to_owned(), "Why?".to_owned());
        let token = ButtonId("t".into());
        let drawn = modal(&AskForm { token, title, explain, label: "Reason".into(), submit: "Deny".into() });
        let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
        assert_eq!(drawn["title"], plain("Deny run 12 of run (cut)"));
        assert_eq!((&drawn["type"], &drawn["callback_id"]), (&json!("modal"), &json!("drbot")));
        assert_eq!(drawn["submit"], plain("Deny"));
        assert_eq!(drawn["blocks"][0], json!({"type": "section", "text": plain("Why?")}));
        let element = json!({"type": "plain_text_input", "action_id": "text", "multiline": true, "max_length": 3_000});
        let input = json!({"type": "input", "block_id": "text", "label": plain("Reason"), "element": element});
        assert_eq!(drawn["blocks"][1], input);
    }

    fn any_text() -> impl Strategy<Value = String> {
        let bit = prop_oneof![
            4 => "\\PC{0,30}".boxed(),
            2 => proptest::sample::select(HOSTILE.to_vec()).prop_map(str::to_owned).boxed(),
            1 => any::<String>().boxed(),
        ];
        (proptest::collection::vec(bit, 0..4), prop_oneof![9 => Just(1_usize), 1 => 1..150_usize])
            .prop_map(|(bits, times)| bits.concat().repeat(times))
    }

    fn any_part() -> impl Strategy<Value = Part> {
        let style = proptest::sample::select(vec![Style::Plain, Style::Primary, Style::Danger]);
        let press = (any_text(), style).prop_map(|(label, style)| button(&label, style));
        let run = (any_text(), 0..3).prop_map(|(text, kind)| match kind {
            0 => Run::Plain(text),
            1 => Run::Bold(text),
            _ => Run::Code(text),
        });
        prop_oneof![
            any_text().prop_map(Part::Title),
            any_text().prop_map(Part::Code),
            any_text().prop_map(Part::Small),
            proptest::collection::vec(run, 0..5).prop_map(Part::Text),
            proptest::collection::vec((any_text(), any_text()), 0..12).prop_map(Part::Facts),
            proptest::collection::vec(press, 0..28).prop_map(Part::Buttons),
            Just(Part::Rule),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_message_has_no_faults(notify in any_text(), parts in proptest::collection::vec(any_part(), 0..60)) {
            let drawn = message(&Message { notify, parts });
            prop_assert_eq!(faults(&drawn.payload), Vec::<String>::new());
        }
    }
}
