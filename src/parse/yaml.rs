//! YAML for runbooks and configuration alike. Takes a file's name and text; gives the value, or one
//! fault with file, line, column, the line itself and what to write instead.

use serde::de::DeserializeOwned;
use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

use super::near::nearest;

/// Reads YAML with the budgets and strictness used everywhere.
///
/// # Errors
/// `file: line N column M: what: what to do`. Never the line itself: it may hold a secret.
pub fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, String> {
    parse(text).map_err(|(what, at)| match at {
        Some((line, column)) => format!("{file}: line {line} column {column}: {what}"),
        None => format!("{file}: {what}"),
    })
}

/// The same for a file without secrets.
///
/// # Errors
/// The same, and the line with a mark below the column.
pub fn read_shown<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, String> {
    parse(text).map_err(|(what, at)| match at {
        Some((line, column)) => format!("{file}: line {line} column {column}: {what}{}", excerpt(text, line, column)),
        None => format!("{file}: {what}"),
    })
}

type Fault = (String, Option<(u64, u64)>);

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    if text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#')) {
        return Err(("the file is missing or empty".to_owned(), None));
    }
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_nodes: 20_000, max_aliases: 0, max_anchors: 0, max_depth: 24, max_documents: 1 },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|e| {
        let at = e.location().map(|l| (l.line(), l.column())).filter(|(line, _)| *line > 0);
        (explain(e.without_snippet()), at)
    })
}

/// The line with a mark below the column; nothing for a line that would not fit a terminal.
pub(super) fn excerpt(text: &str, line: u64, column: u64) -> String {
    let nth = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let at = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
    match text.lines().nth(nth) {
        Some(l) if l.len() <= 160 => {
            let lead: String = l.chars().take(at).map(|c| if c == '\t' { c } else { ' ' }).collect();
            format!("\n    {l}\n    {lead}^")
        }
        _ => String::new(),
    }
}

fn explain(error: &Error) -> String {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => unknown("word", variant, expected),
        Error::SerdeMissingField { field, .. } => {
            format!("`{field}` is missing from the block that ends here: add it")
        }
        Error::DuplicateMappingKey { key, .. } => {
            format!("duplicate key `{}`: keep one", key.as_deref().unwrap_or("?"))
        }
        Error::InvalidScalar { ty, .. } => wrong_scalar(ty),
        Error::InvalidBooleanStrict { .. } => "this must be true or false, written so".to_owned(),
        Error::Unexpected { expected, .. } => shape(expected).to_owned(),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => shape("mapping start").to_owned(),
        Error::UnknownAnchor { .. } => {
            "an alias (`*name`) is not allowed: write it out; a text that starts with * needs quotes".to_owned()
        }
        Error::Budget { breach, .. } => breached(breach),
        other => other.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
    }
}

fn unknown(kind: &str, got: &str, known: &[&'static str]) -> String {
    let list = known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
    match nearest(got, known.iter().copied()) {
        Some(near) => format!("there is no {kind} `{got}` here: did you mean `{near}`? It may be one of {list}"),
        None => format!("there is no {kind} `{got}` here: it may be one of {list}"),
    }
}

fn wrong_scalar(ty: &str) -> String {
    match ty {
        "u8" | "u16" | "u32" | "u64" => "this must be a whole number, 0 or more, without unit or quotes".to_owned(),
        "i8" | "i16" | "i32" | "i64" => "this must be a whole number, without unit or quotes".to_owned(),
        "bool" => "this must be true or false, written so".to_owned(),
        other => format!("this is no {other}"),
    }
}

fn shape(expected: &str) -> &'static str {
    match expected {
        "sequence start" => "this must be a list: `[one, two]`, or one `- item` a line",
        "string scalar" => "this must be one text, no list and no block: put it in quotes",
        "mapping start" => {
            "the value here, or just before, must be a block of keys (`key: value`), such as `runbook: NAME` at the top of a runbook or `manual: { … }` under `do`"
        }
        _ => "this is not what belongs here: look at the commented examples",
    }
}

fn breached(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. } => {
            "anchors and aliases (`&name`, `*name`) are not allowed: write it out each time".to_owned()
        }
        BudgetBreach::Documents { .. } => "a file holds one document: remove the `---` or make two files".to_owned(),
        BudgetBreach::Depth { .. } => "this is nested too deep: at most 24 levels".to_owned(),
        _ => "the file is too large: at most 20000 values".to_owned(),
    }
}
