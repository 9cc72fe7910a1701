//! Typed assertions. Takes rows as text; says whether they are what the runbook expects, and why not.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::http::HttpExpect;
use super::schema::Scalar;

/// What came back from a query: column names and rows of text; `None` is SQL NULL.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows beyond the cap that were counted and not kept.
    #[serde(default)]
    pub beyond: u64,
}

impl Rows {
    /// How many rows there were, kept or not.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.rows.len() as u64 + self.beyond
    }

    /// The place of a column.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c == name)
    }

    /// The first row as name and value, for filling texts; NULL shows as `none`.
    #[must_use]
    pub fn first(&self) -> BTreeMap<String, String> {
        let cells = self.rows.first().into_iter().flatten();
        self.columns.iter().zip(cells).map(|(c, v)| (c.clone(), v.clone().unwrap_or_else(|| "none".into()))).collect()
    }

    /// Whether the answer to a probe says itself that nothing was done: its column `happened` is `false`.
    #[must_use]
    pub fn denies(&self) -> bool {
        self.first().get("happened").is_some_and(|h| h == "false")
    }

    /// The values of the named columns of every row, as one JSON array of objects: what an approval
    /// pins and a changing statement joins.
    #[must_use]
    pub fn identities(&self, columns: &[String]) -> Vec<BTreeMap<String, Option<String>>> {
        let at: Vec<_> = columns.iter().map(|c| (c, self.column(c))).collect();
        self.rows
            .iter()
            .map(|row| at.iter().map(|(c, i)| ((*c).clone(), i.and_then(|i| row.get(i).cloned().flatten()))).collect())
            .collect()
    }
}

/// What the rows of a query must be. All given parts must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The target must answer at all: if it cannot be reached or refuses, that is a failure and no longer a
    /// question that could not be asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reachable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowsExpect>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<ValueExpect>,
    /// What the answer of an HTTP call must be; without it any 2xx is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<HttpExpect>,
    /// The codes with which the last program may end; without it 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Vec<i32>>,
}

/// How many rows, and what every one of them must say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowsExpect {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exactly: Option<u64>,
    /// Column to the text each row must have there; booleans are `true` and `false`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub every: BTreeMap<String, String>,
}

/// Bounds on one number in the only row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValueExpect {
    pub column: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<i64>,
}

impl Expect {
    /// Whether there is anything to hold at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.reachable && self.ignores_rows()
    }

    /// Whether any answer would do.
    #[must_use]
    pub fn ignores_rows(&self) -> bool {
        self.rows.as_ref().is_none_or(|r| *r == RowsExpect::default())
            && self.value.as_ref().is_none_or(|v| v.at_most.is_none() && v.at_least.is_none())
            && self.answer.is_none()
            && self.exit.is_none()
    }

    /// `Ok(true)` if the rows are as expected, `Ok(false)` if they are not, and an error if that
    /// cannot be told: a missing column, NULL or a non-number where a number was expected.
    ///
    /// # Errors
    /// A text for people that names the column.
    pub fn holds(&self, got: &Rows) -> Result<bool, String> {
        let rows = self.rows.as_ref().map_or(Ok(true), |r| r.holds(got))?;
        let value = self.value.as_ref().map_or(Ok(true), |v| v.holds(got))?;
        Ok(rows && value)
    }

    /// The first part that does not hold, in numbers and names only: what rows say may be a customer's.
    #[must_use]
    pub fn difference(&self, rows: &Rows) -> String {
        for (column, wanted) in self.rows.iter().flat_map(|r| &r.every) {
            let at = rows.column(column);
            let says =
                |row: &&Vec<Option<String>>| at.and_then(|i| row.get(i)).cloned().flatten().as_ref() == Some(wanted);
            let off = rows.rows.len() - rows.rows.iter().filter(says).count();
            if off > 0 {
                return format!("`{column}` is not `{wanted}` in {off} of {} rows", rows.count());
            }
        }
        match &self.value {
            Some(value) => {
                format!("{} rows, `{}` outside its bounds or the row count not met", rows.count(), value.column)
            }
            None => format!("{} rows", rows.count()),
        }
    }
}

impl RowsExpect {
    fn holds(&self, got: &Rows) -> Result<bool, String> {
        let n = got.count();
        let counted = self.at_most.is_none_or(|m| n <= m)
            && self.at_least.is_none_or(|m| n >= m)
            && self.exactly.is_none_or(|m| n == m);
        if !self.every.is_empty() && got.beyond > 0 {
            return Err(format!("{} more rows than may be kept, so not every row could be judged", got.beyond));
        }
        let mut every = true;
        for (column, wanted) in &self.every {
            let at = got.column(column).ok_or_else(|| format!("the answer has no column `{column}`"))?;
            every &= got.rows.iter().all(|row| row.get(at).cloned().flatten().as_deref() == Some(wanted));
        }
        Ok(counted && every)
    }
}

impl ValueExpect {
    fn holds(&self, got: &Rows) -> Result<bool, String> {
        let column = &self.column;
        let at = got.column(column).ok_or_else(|| format!("the answer has no column `{column}`"))?;
        let [row] = got.rows.as_slice() else {
            return Err(format!("expected one row to read `{column}` from, got {}", got.count()));
        };
        let text = row.get(at).cloned().flatten().ok_or_else(|| format!("`{column}` is NULL"))?;
        let number: i64 = text.parse().map_err(|_| format!("`{column}` is `{text}`, not a whole number"))?;
        Ok(self.at_most.is_none_or(|m| number <= m) && self.at_least.is_none_or(|m| number >= m))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: &[&[Option<&str>]]) -> Rows {
        Rows {
            columns: vec!["n".into(), "ok".into()],
            rows: cells.iter().map(|r| r.iter().map(|c| c.map(Into::into)).collect()).collect(),
            beyond: 0,
        }
    }

    fn value(at_most: i64) -> Expect {
        let bounds = ValueExpect { column: "n".into(), at_most: Some(at_most), at_least: None };
        Expect { value: Some(bounds), ..Expect::default() }
    }

    #[test]
    fn a_null_or_a_word_is_never_a_pass() {
        assert_eq!(value(3).holds(&rows(&[&[Some("3"), None]])), Ok(true));
        assert_eq!(value(3).holds(&rows(&[&[Some("4"), None]])), Ok(false));
        assert!(value(3).holds(&rows(&[&[None, None]])).unwrap_err().contains("NULL"));
        assert!(value(3).holds(&rows(&[&[Some("many"), None]])).unwrap_err().contains("many"));
        assert!(value(3).holds(&rows(&[])).is_err());
    }

    #[test]
    fn every_row_must_agree_and_a_missing_column_is_an_error() {
        let every = |column: &str| Expect {
            rows: Some(RowsExpect { every: [(column.to_owned(), "true".to_owned())].into(), ..RowsExpect::default() }),
            ..Expect::default()
        };
        assert_eq!(every("ok").holds(&rows(&[&[None, Some("true")], &[None, Some("true")]])), Ok(true));
        assert_eq!(every("ok").holds(&rows(&[&[None, Some("true")], &[None, None]])), Ok(false));
        assert!(every("gone").holds(&rows(&[])).unwrap_err().contains("gone"));
    }
}
