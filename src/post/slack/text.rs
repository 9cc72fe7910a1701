//! Untrusted text made safe to show. Takes any string; gives one in which every character can be seen,
//! cut to a size without splitting an escape. Two different texts never look the same for want of a
//! visible character.

/// Where the text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// An unparsed field of several lines.
    Lines,
    /// An unparsed field of one line.
    Line,
    /// A field that Slack parses, and in which `& < >` therefore are escaped.
    Parsed,
}

/// A text as shown, and how many characters of the source are missing at its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    pub text: String,
    pub hidden: usize,
}

/// What a shortened text ends with.
const CUT: &str = " (cut)";

/// The size Slack may count: UTF-16 units with `& < >` escaped, which is never too small.
pub fn cost(text: &str) -> usize {
    text.chars().map(char_cost).sum()
}

fn char_cost(c: char) -> usize {
    match c {
        '&' => 5,
        '<' | '>' => 4,
        _ => c.len_utf16(),
    }
}

/// As much of `source` as fits into `room`.
pub fn fit(source: &str, layout: Layout, room: usize) -> Shown {
    let (mut text, mut used) = (String::new(), 0);
    for (at, c) in source.char_indices() {
        let atom = atom(&source[at..], c, layout);
        used += cost(&atom);
        if used > room {
            return Shown { text, hidden: source[at..].chars().count() };
        }
        match (layout, c) {
            (Layout::Parsed, _) => text.push_str(&escape(&atom)),
            _ => text.push_str(&atom),
        }
    }
    Shown { text, hidden: 0 }
}

/// `source` if it fits into `room`, else its beginning and the word that it was cut. A blank text
/// becomes `blank`, since Slack takes no empty one.
pub fn short(source: &str, layout: Layout, room: usize, blank: &str) -> (String, bool) {
    if is_blank(source, layout) {
        return (blank.to_owned(), false);
    }
    let whole = fit(source, layout, room);
    if whole.hidden == 0 {
        return (whole.text, false);
    }
    (fit(source, layout, room - CUT.len()).text + CUT, true)
}

/// Whether nothing of `source` would be seen.
pub fn is_blank(source: &str, layout: Layout) -> bool {
    source.char_indices().all(|(at, c)| atom(&source[at..], c, layout).trim().is_empty())
}

/// Text in pieces of at most `room`, to be shown one after the other without a gap.
pub fn chunks(text: &str, room: usize) -> Vec<String> {
    let (mut chunks, mut used) = (Vec::new(), room);
    for c in text.chars() {
        used += char_cost(c);
        if used > room {
            chunks.push(String::new());
            used = char_cost(c);
        }
        if let Some(last) = chunks.last_mut() {
            last.push(c);
        }
    }
    chunks
}

/// How the first character of `rest` is shown.
fn atom(rest: &str, c: char, layout: Layout) -> String {
    let line_part = matches!(c, '\n' | '\t');
    let shown = if line_part {
        layout != Layout::Line
    } else if c == '\\' {
        // Else a text could pretend to hold a character that it does not hold.
        !rest.starts_with("\\u{")
    } else if c == '&' && layout != Layout::Parsed {
        // Slack is known to read these three back even where it parses nothing else.
        !["&amp;", "&lt;", "&gt;"].iter().any(|e| rest.starts_with(e))
    } else {
        !is_unseen(c)
    };
    if shown { c.to_string() } else { format!("\\u{{{:x}}}", u32::from(c)) }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Characters that leave no mark, look like a blank, or reorder their neighbours.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(source: &str, layout: Layout) -> String {
        fit(source, layout, usize::MAX).text
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        for (source, shown) in [
            ("plain *x* `y` é 😀", "plain *x* `y` é 😀"),
            ("a\n\tb", "a\n\tb"),
            ("a\u{202e}b\u{2066}", "a\\u{202e}b\\u{2066}"),
            ("a\u{200b}\u{200d}\u{feff}\u{ad}", "a\\u{200b}\\u{200d}\\u{feff}\\u{ad}"),
            ("a\u{a0}b\u{3000}\u{2028}", "a\\u{a0}b\\u{3000}\\u{2028}"),
            ("\0\u{7f}\u{85}\r\u{1b}", "\\u{0}\\u{7f}\\u{85}\\u{d}\\u{1b}"),
            ("\u{e0041}\u{fe0f}\u{3164}", "\\u{e0041}\\u{fe0f}\\u{3164}"),
            ("\\u{202e} \\n", "\\u{5c}u{202e} \\n"),
            ("&lt;b&gt; &amp;amp; a & b < c", "\\u{26}lt;b\\u{26}gt; \\u{26}amp;amp; a & b < c"),
        ] {
            assert_eq!(whole(source, Layout::Lines), shown);
        }
        assert_eq!(whole("a\n\tb", Layout::Line), "a\\u{a}\\u{9}b");
        assert_eq!(whole("<!channel> &lt; \u{202e}", Layout::Parsed), "&lt;!channel&gt; &amp;lt; \\u{202e}");
    }

    #[test]
    fn a_cut_never_splits_an_escape_and_is_said() {
        for room in 0..20 {
            let cut = fit("a<b\u{202e}&", Layout::Parsed, room);
            assert!(["", "a", "a&lt;", "a&lt;b", "a&lt;b\\u{202e}", "a&lt;b\\u{202e}&amp;"].contains(&&*cut.text));
            assert!(cut.text.len() <= room);
        }
        assert_eq!(fit("abc😀", Layout::Lines, 4), Shown { text: "abc".into(), hidden: 1 });
        assert_eq!(short("abcdefghij", Layout::Line, 10, "-"), ("abcdefghij".into(), false));
        assert_eq!(short("abcdefghijk", Layout::Line, 10, "-"), ("abcd (cut)".into(), true));
        assert_eq!(short(" ", Layout::Line, 10, "-"), ("-".into(), false));
        assert_eq!(chunks("ab<c😀", 4), ["ab", "<", "c😀"]);
    }

    /// Reads `\u{…}` back.
    fn source_of(shown: &str) -> String {
        let mut parts = shown.split("\\u{");
        let mut source = parts.next().unwrap().to_owned();
        for part in parts {
            let (code, rest) = part.split_once('}').unwrap();
            source.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
            source.push_str(rest);
        }
        source
    }

    proptest! {
        #[test]
        fn the_source_can_be_read_back(source in "(\\PC|[\\p{Cc}\\p{Cf}\\p{Zs}\\\\u{}&;<>]|&lt;|&amp;|\\\\u\\{){0,40}") {
            for layout in [Layout::Lines, Layout::Line] {
                let shown = whole(&source, layout);
                prop_assert!(!shown.chars().any(|c| is_unseen(c) && !matches!(c, '\n' | '\t')));
                prop_assert_eq!(source_of(&shown), source.clone());
            }
            let parsed = whole(&source, Layout::Parsed);
            prop_assert!(!parsed.contains(['<', '>']));
            let read = parsed.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            prop_assert_eq!(source_of(&read), source);
        }
    }
}
