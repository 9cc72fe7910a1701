//! Parameters of a runbook. Takes what people and configurations write; gives the canonical text that is
//! bound, or what is wrong with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ask::{Ask, HttpAsk, ProcessAsk};
use super::form::OPTIONS;
use super::schema::Scalar;
use super::time::Span;

/// A typed parameter with its bounds and, if it may be left out, its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Param {
    #[serde(rename = "type")]
    pub kind: ParamType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Scalar>")]
    pub default: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Scalar>")]
    pub min: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Scalar>")]
    pub max: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Scalar>")]
    pub values: Vec<String>,
    /// The question a person is asked for it, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// Where its values are listed from, for a person to choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pick: Option<Pick>,
    /// What drbot asks for again and again and keeps for it, so that it is known when its source is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
}

/// A read-only question whose newest answer from before an incident's beginning is the parameter. Nobody can
/// give it another value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    pub every: Span,
    pub target: String,
    pub sql: String,
}

/// Most rows of one answer that is kept.
pub const KEPT: usize = 100;
/// The column that every kept row has besides its own: when it was asked.
pub const KEPT_AT: &str = "kept_at";

/// A read-only question whose rows are the values that a person may choose from. It is asked when somebody
/// starts the runbook without the parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    pub target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<HttpAsk>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<ProcessAsk>,
    /// The column with the value.
    pub value: String,
    /// The column that people read; the value's own if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Several may be chosen; the parameter is then their list, joined by commas.
    #[serde(default)]
    pub many: bool,
}

impl Pick {
    /// How the rows are asked for.
    ///
    /// # Errors
    /// None or several of `sql`, `call` and `run` are given.
    pub fn ask(&self) -> Result<Ask<'_>, String> {
        Ask::one(self.sql.as_ref(), self.call.as_ref(), self.run.as_ref())
    }
}

/// What a parameter may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    Duration,
    Integer,
    Choice,
    /// The name of a table, column, project or workflow: letters, digits, `_`, `-` and `.`, at most 64.
    Name,
    /// One line of at most 200 characters.
    Text,
    Uuid,
    /// A point in time, as RFC 3339 with a zone.
    Time,
    /// A JSON array with the rows that `keep` brought; for statements only.
    Rows,
}

impl Param {
    /// Reads a value, checks its bounds and gives the canonical text that is bound.
    ///
    /// # Errors
    /// Names the parameter, what it got and what it takes.
    pub fn read(&self, name: &str, text: &str) -> Result<String, String> {
        if !self.many() {
            return self.one(name, text);
        }
        let each: Vec<&str> = text.split(',').collect();
        if each.len() > OPTIONS {
            return Err(format!("parameter `{name}` has {} values; at most {OPTIONS} are taken", each.len()));
        }
        let each: Result<Vec<String>, String> = each.into_iter().map(|t| self.one(name, t.trim())).collect();
        each.map(|all| all.join(","))
    }

    /// What is bound when nothing was kept yet.
    #[must_use]
    pub fn none_kept(&self) -> Option<String> {
        self.keep.as_ref().map(|_| "[]".to_owned())
    }

    /// Whether it holds a list.
    #[must_use]
    pub fn many(&self) -> bool {
        self.pick.as_ref().is_some_and(|p| p.many)
    }

    fn one(&self, name: &str, text: &str) -> Result<String, String> {
        match self.kind {
            ParamType::Duration => self
                .bounded(name, Span::parse(text).map_err(|e| format!("parameter `{name}`: {e}"))?, Span::parse)
                .map(Span::exact),
            ParamType::Integer => self
                .bounded(name, whole(text).map_err(|e| format!("parameter `{name}`: {e}"))?, whole)
                .map(|n| n.to_string()),
            ParamType::Name if is_name(text) => Ok(text.to_owned()),
            ParamType::Name => Err(format!(
                "parameter `{name}` is `{text}`: a name has only letters, digits, `_`, `-` and `.`, and at most 64 of them"
            )),
            ParamType::Text if text.chars().count() <= 200 && !text.chars().any(char::is_control) => {
                Ok(text.to_owned())
            }
            ParamType::Text => Err(format!("parameter `{name}` must be one line of at most 200 characters")),
            ParamType::Uuid => uuid(text).ok_or_else(|| {
                format!("parameter `{name}` is `{text}`: an id looks like 123e4567-e89b-12d3-a456-426614174000")
            }),
            ParamType::Time => text.parse::<jiff::Timestamp>().map(|t| t.to_string()).map_err(|_| {
                format!("parameter `{name}` is `{text}`: a point in time looks like 2026-11-22T10:00:00Z")
            }),
            ParamType::Rows => Err(format!("parameter `{name}` is what drbot kept itself: leave it out")),
            ParamType::Choice if self.values.iter().any(|v| v == text) => Ok(text.to_owned()),
            ParamType::Choice => {
                Err(format!("parameter `{name}` is `{text}`: choose one of {}", self.values.join(", ")))
            }
        }
    }

    /// What a value looks like, in words, with its bounds.
    #[must_use]
    pub fn takes(&self) -> String {
        let what = match self.kind {
            ParamType::Duration => "A duration such as 5m".to_owned(),
            ParamType::Integer => "A whole number".to_owned(),
            ParamType::Choice => format!("One of {}", self.values.join(", ")),
            ParamType::Name => "A name of letters, digits, dots, _ and -".to_owned(),
            ParamType::Text => "One line of at most 200 characters".to_owned(),
            ParamType::Uuid => "An id such as 123e4567-e89b-12d3-a456-426614174000".to_owned(),
            ParamType::Time => "A point in time such as 2026-11-22T10:00:00Z".to_owned(),
            ParamType::Rows => "What drbot kept itself".to_owned(),
        };
        let what = if self.many() { format!("{what}; several are joined by commas") } else { what };
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => format!("{what}, from {min} to {max}"),
            (Some(min), None) => format!("{what}, at least {min}"),
            (None, Some(max)) => format!("{what}, at most {max}"),
            (None, None) => what,
        }
    }

    fn bounded<T: PartialOrd>(
        &self,
        name: &str,
        value: T,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, String> {
        let low = self.min.as_deref().map(&read).transpose()?.is_some_and(|m| value < m);
        let high = self.max.as_deref().map(&read).transpose()?.is_some_and(|m| value > m);
        if low || high {
            let (min, max) = (self.min.as_deref().unwrap_or("any"), self.max.as_deref().unwrap_or("any"));
            return Err(format!("parameter `{name}` is outside its bounds: from {min} to {max}"));
        }
        Ok(value)
    }
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    !text.is_empty() && text.len() <= 64 && text.chars().all(plain) && !text.starts_with(['-', '.'])
}

fn uuid(text: &str) -> Option<String> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12]);
    let hex = groups.iter().all(|g| g.chars().all(|c| c.is_ascii_hexdigit()));
    (lengths && hex).then(|| text.to_ascii_lowercase())
}

fn whole(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a whole number"))
}
