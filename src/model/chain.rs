//! Questions in a row: what one target lists, looked up at another before anybody sees or judges it. Takes
//! the rows so far; gives those that the next answer knows too. Asking is done elsewhere.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ask::{Ask, Deed, HttpAsk, ProcessAsk};
use super::expect::Rows;
use super::runbook::Preview;
use super::time::Span;

/// The bound value that holds the rows so far, in a statement that looks them up.
pub const LISTED: &str = "listed";

/// A question about the rows so far. Only rows stay that agree with the answer in every column that both
/// have; its other columns are added. A call with `each` is made once for every row, whose columns are its
/// only values; a statement gets all rows as `:listed`, a JSON array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Also {
    pub target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<HttpAsk>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<ProcessAsk>,
}

/// A first question and those about its rows, as a runbook says them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chain<'a> {
    pub sql: Option<&'a String>,
    pub call: Option<&'a HttpAsk>,
    pub run: Option<&'a ProcessAsk>,
    pub also: &'a [Also],
}

/// The same with its values, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chained {
    pub first: Deed,
    pub also: Vec<Also>,
    pub values: BTreeMap<String, String>,
    /// For each question by itself.
    pub timeout: Span,
}

impl Also {
    /// What it asks.
    ///
    /// # Errors
    /// Not exactly one way is given.
    pub fn ask(&self) -> Result<Ask<'_>, String> {
        Ask::one(self.sql.as_ref(), self.call.as_ref(), self.run.as_ref())
    }

    /// Whether it is asked once for every row.
    #[must_use]
    pub fn each(&self) -> bool {
        self.call.as_ref().is_some_and(|c| c.each)
    }
}

impl<'a> Chain<'a> {
    /// The question that makes the list.
    ///
    /// # Errors
    /// Not exactly one way is given.
    pub fn first(&self) -> Result<Ask<'a>, String> {
        Ask::one(self.sql, self.call, self.run)
    }

    /// The parameters it takes: columns of the rows so far come by themselves.
    #[must_use]
    pub fn placeholders(&self) -> Vec<String> {
        let mut all = self.first().map(|a| a.placeholders()).unwrap_or_default();
        for also in self.also.iter().filter(|a| !a.each()) {
            for name in also.ask().map(|a| a.placeholders()).unwrap_or_default() {
                if name != LISTED && !all.contains(&name) {
                    all.push(name);
                }
            }
        }
        all
    }
}

impl Preview {
    /// What it asks.
    ///
    /// # Errors
    /// Not exactly one way is given.
    pub fn ask(&self) -> Result<Ask<'_>, String> {
        Ask::chain(self.sql.as_ref(), self.call.as_ref(), self.run.as_ref(), &self.also)
    }
}

impl Rows {
    /// The rows as one JSON array of objects, with every column.
    #[must_use]
    pub fn listed(&self) -> String {
        serde_json::to_string(&self.identities(&self.columns)).unwrap_or_default()
    }

    /// Each row with each row of `other` that agrees with it in every column that both have; NULL agrees
    /// with nothing.
    #[must_use]
    pub fn joined(&self, other: &Rows) -> Rows {
        let shared: Vec<(usize, usize)> =
            self.columns.iter().enumerate().filter_map(|(i, c)| Some((i, other.column(c)?))).collect();
        let added: Vec<usize> = (0..other.columns.len()).filter(|i| !shared.iter().any(|(_, s)| s == i)).collect();
        let mut columns = self.columns.clone();
        columns.extend(added.iter().map(|i| other.columns[*i].clone()));
        let agree = |a: &[Option<String>], b: &[Option<String>]| {
            shared.iter().all(|(i, j)| a.get(*i).is_some_and(|cell| cell.is_some() && Some(cell) == b.get(*j)))
        };
        let mut rows = Vec::new();
        for row in &self.rows {
            for found in other.rows.iter().filter(|found| agree(row, found)) {
                let cells = added.iter().map(|i| found.get(*i).cloned().flatten());
                rows.push(row.iter().cloned().chain(cells).collect());
            }
        }
        Rows { columns, rows, beyond: 0 }
    }

    /// Whether a column is in both.
    #[must_use]
    pub fn shares(&self, other: &Rows) -> bool {
        self.columns.iter().any(|c| other.column(c).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(columns: &[&str], cells: &[&[Option<&str>]]) -> Rows {
        Rows {
            columns: columns.iter().map(|c| (*c).to_owned()).collect(),
            rows: cells.iter().map(|r| r.iter().map(|c| c.map(Into::into)).collect()).collect(),
            beyond: 0,
        }
    }

    #[test]
    fn only_what_both_say_alike_stays() {
        let ours = rows(&["id", "amount"], &[&[Some("a"), Some("5")], &[Some("b"), Some("6")], &[None, Some("7")]]);
        let theirs = rows(
            &["amount", "state", "id"],
            &[&[Some("5"), None, Some("a")], &[Some("9"), Some("ok"), Some("b")], &[Some("7"), Some("ok"), None]],
        );
        let both = ours.joined(&theirs);
        assert_eq!(both.columns, ["id", "amount", "state"]);
        assert_eq!(both.rows, [[Some("a".to_owned()), Some("5".to_owned()), None]]);
        assert_eq!(ours.joined(&rows(&["id"], &[])).count(), 0);
        assert!(!ours.shares(&rows(&["state"], &[])));
    }

    #[test]
    fn a_chain_takes_parameters_and_brings_its_own_columns() {
        let also: Vec<Also> = serde_json::from_value(serde_json::json!([
            {"target": "stripe", "call": {"path": "/v1/accounts/{account}", "each": true}},
            {"target": "main-db", "sql": "select :listed, :other"}
        ]))
        .unwrap();
        let sql = "select :since".to_owned();
        let chain = Chain { sql: Some(&sql), call: None, run: None, also: &also };
        assert_eq!(chain.placeholders(), ["since", "other"]);
    }
}
