//! Reading Rust as text. Takes a source file; gives its code without comments, strings and tests, and
//! the functions, attributes and paths in it. Enough for laws, far from a compiler.

/// A file of the tree, by its path from the root.
pub struct Source {
    pub path: String,
    pub text: String,
    /// The text with comments and the inside of literals blanked; every byte keeps its place.
    pub code: String,
    /// The texts of its string literals.
    pub strings: Vec<String>,
}

/// A function as far as the laws care.
#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub lines: usize,
    /// Without `self`.
    pub parameters: usize,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let (code, strings) = mask(text);
        Source { path: path.to_owned(), text: text.to_owned(), code, strings }
    }

    /// The code without `#[cfg(test)] mod … { … }`.
    pub fn product(&self) -> String {
        let mut code = self.code.clone();
        while let Some(at) = code.find("#[cfg(test)]") {
            let rest = &code[at..];
            let end = match (rest.find('{'), rest.find(';')) {
                (Some(open), semicolon) if semicolon.is_none_or(|s| open < s) => closing(rest, open),
                (_, Some(semicolon)) => semicolon,
                _ => rest.len() - 1,
            };
            let blank: String = rest[..=end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
            code.replace_range(at..=at + end, &blank);
        }
        code
    }

    /// `a::b` for `src/a/b.rs`; empty for the roots.
    pub fn module(&self) -> Vec<String> {
        let stem = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        stem.split('/').filter(|p| !matches!(*p, "mod" | "lib" | "main")).map(str::to_owned).collect()
    }

    /// The top-level module it belongs to; `main` and `lib` for the roots.
    pub fn top(&self) -> String {
        let root = self.path.trim_start_matches("src/").trim_end_matches(".rs").to_owned();
        self.module().first().cloned().unwrap_or(root)
    }

    /// Every path from the crate's root that product code names, split at `::`.
    pub fn crate_paths(&self) -> Vec<Vec<String>> {
        let code = self.product();
        let mut found = paths(&code, "crate");
        if self.path == "src/main.rs" {
            found.extend(paths(&code, "drbot"));
        }
        for at in starts(&code, "super") {
            let ups = code[at..].split("::").take_while(|p| p.trim() == "super").count();
            if ups >= self.module().len() {
                let rest: usize = code[at..].split("::").take(ups).map(|p| p.len() + 2).sum();
                expand(&code[(at + rest).min(code.len())..], &mut Vec::new(), &mut found);
            }
        }
        found
    }

    /// Every function with a body or without.
    pub fn functions(&self) -> Vec<Function> {
        starts(&self.code, "fn").into_iter().filter_map(|at| function(&self.code, at)).collect()
    }

    /// The inside of every attribute, blanked as in `code`, and as written.
    pub fn attributes(&self) -> Vec<(&str, &str)> {
        let hashes = self.code.match_indices('#').map(|(at, _)| at);
        let opens = hashes.filter_map(|at| {
            let rest = &self.code[at + 1..];
            let skip = usize::from(rest.starts_with('!'));
            rest[skip..].starts_with('[').then_some(at + 1 + skip)
        });
        opens.map(|open| open..=closing(&self.code, open)).map(|r| (&self.code[r.clone()], &self.text[r])).collect()
    }
}

/// Where a word stands by itself in code and does not continue a path.
pub fn starts(code: &str, word: &str) -> Vec<usize> {
    let alone = |at: usize| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(|c| name(c) || c == ':') && !after.is_some_and(name)
    };
    code.match_indices(word).map(|(at, _)| at).filter(|at| alone(*at)).collect()
}

/// Whether a word stands anywhere in code, in a path or alone.
pub fn has(code: &str, word: &str) -> bool {
    code.split(|c| !name(c)).any(|w| w == word)
}

/// The paths that begin with `root::`, with `{a, b}` trees spread out.
pub fn paths(code: &str, root: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for at in starts(code, root) {
        if let Some(rest) = code[at + root.len()..].trim_start().strip_prefix("::") {
            expand(rest, &mut Vec::new(), &mut found);
        }
    }
    found
}

fn name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn expand(rest: &str, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let rest = rest.trim_start();
    if rest.starts_with('{') {
        for part in split(&rest[1..closing(rest, 0)]) {
            expand(&part, &mut before.clone(), found);
        }
        return;
    }
    let end = rest.find(|c| !name(c)).unwrap_or(rest.len());
    before.push(if end == 0 { "*".to_owned() } else { rest[..end].to_owned() });
    match rest[end..].trim_start().strip_prefix("::") {
        Some(more) if end > 0 && !more.trim_start().starts_with('<') => expand(more, before, found),
        _ => found.push(before.clone()),
    }
}

/// The place of the bracket that closes the one at `open`.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices().skip_while(|(at, _)| *at < open) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    code.len().saturating_sub(1)
}

/// The parts between the commas that stand in no bracket.
fn split(code: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut depth, mut last) = (0, ' ');
    for c in code.chars() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '>' if last != '-' && last != '=' => depth -= 1,
            _ => {}
        }
        match (c, depth) {
            (',', 0) => parts.push(String::new()),
            _ => parts.last_mut().expect("one part").push(c),
        }
        last = c;
    }
    parts.retain(|p| !p.trim().is_empty());
    parts
}

fn function(code: &str, at: usize) -> Option<Function> {
    let rest = &code[at..];
    let head = rest[2..].trim_start();
    let end = head.find(|c| !name(c))?;
    let called = head[..end].to_owned();
    if called.is_empty() {
        return None; // a function type
    }
    let mut open = rest.len() - head.len() + end;
    if rest[open..].starts_with('<') {
        open += generics(&rest[open..]);
    }
    open += rest[open..].find('(')?;
    let close = closing(rest, open);
    let own = |p: &String| has(p.split(':').next().unwrap_or_default(), "self");
    let parameters = split(&rest[open + 1..close]).iter().filter(|p| !own(p)).count();
    let mut depth = 0;
    let body = rest[close + 1..].char_indices().find(|(_, c)| {
        depth += i32::from(matches!(c, '(' | '[')) - i32::from(matches!(c, ')' | ']'));
        depth == 0 && matches!(c, '{' | ';')
    });
    let end = body.map_or(close, |(to, c)| if c == '{' { closing(rest, close + 1 + to) } else { close });
    Some(Function { name: called, lines: rest[..end].matches('\n').count() + 1, parameters })
}

/// How long a `<…>` list is.
fn generics(code: &str) -> usize {
    let (mut depth, mut last) = (0, ' ');
    for (at, c) in code.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if last != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
        last = c;
    }
    code.len()
}

/// Blanks comments and the inside of literals; gives the strings too.
fn mask(text: &str) -> (String, Vec<String>) {
    let (mut out, mut strings) = (String::with_capacity(text.len()), Vec::new());
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let (keep, blank) = literal(rest, out.chars().next_back());
        match (keep, blank) {
            (0, 0) => {
                let c = rest.chars().next().expect("not the end");
                out.push(c);
                at += c.len_utf8();
            }
            (keep, blank) => {
                let inside = &rest[keep..keep + blank];
                if keep > 0 && rest[..keep].ends_with('"') {
                    strings.push(inside.to_owned());
                }
                out.push_str(&rest[..keep]);
                out.extend(inside.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
                at += keep + blank;
                // The closing quote is copied here, so that it does not open another literal.
                let tail = if keep > 0 { usize::from(at < text.len()) } else { 0 };
                out.push_str(&text[at..at + tail]);
                at += tail;
            }
        }
    }
    (out, strings)
}

/// If a comment or literal begins here: how much of its beginning is kept, and how much is blanked.
fn literal(rest: &str, before: Option<char>) -> (usize, usize) {
    if rest.starts_with("//") {
        return (0, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (0, rest.find("*/").map_or(rest.len(), |e| e + 2));
    }
    if let Some(inside) = rest.strip_prefix('"') {
        return (1, quoted(inside, '"'));
    }
    let raw = rest.strip_prefix('r').filter(|_| !before.is_some_and(|c| name(c) && c != 'b'));
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let inside = &raw[hashes + 1..];
            let end = inside.find(&format!("\"{}", "#".repeat(hashes))).unwrap_or(inside.len());
            return (hashes + 2, end);
        }
    }
    match rest.strip_prefix('\'') {
        Some(c) if c.starts_with('\\') => (1, quoted(c, '\'')),
        Some(c) => match c.chars().next() {
            Some(first) if c[first.len_utf8()..].starts_with('\'') => (1, first.len_utf8()),
            _ => (0, 0),
        },
        None => (0, 0),
    }
}

/// How far it is to the quote that closes a literal with escapes.
fn quoted(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at,
            _ => {}
        }
    }
    inside.len()
}
