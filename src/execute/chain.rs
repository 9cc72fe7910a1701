//! Questions in a row, each about the rows of the one before. Takes the chain with its values; gives the rows
//! on which all targets agree, or why that cannot be told. Nothing here changes anything.

use std::collections::BTreeMap;

use tokio::time::sleep;

use super::Executors;
use super::call::GAP;
use crate::model::ask::Deed;
use crate::model::chain::{Also, Chained, LISTED};
use crate::model::effect::Question;
use crate::model::expect::Rows;

/// Rows that are looked at on the way: many more than people would read, since only those stay that matter.
const BETWEEN: u64 = 10_000;

/// Asks one question after the other and keeps the rows that every answer knows; those beyond the question's cap
/// are counted.
pub(super) async fn rows(execute: &Executors, q: &Question, chain: &Chained) -> Result<Rows, String> {
    let wide = Question { cap: BETWEEN.max(q.cap), ..q.clone() };
    let mut rows = joined(execute, &wide, chain).await?;
    let kept = usize::try_from(q.cap).unwrap_or(usize::MAX).min(rows.rows.len());
    rows.beyond += (rows.rows.len() - kept) as u64;
    rows.rows.truncate(kept);
    Ok(rows)
}

async fn joined(execute: &Executors, q: &Question, chain: &Chained) -> Result<Rows, String> {
    let mut rows = execute.plain(&asking(q, &q.target, chain.first.clone())).await?;
    for also in &chain.also {
        if rows.beyond > 0 {
            return Err(format!("{} lists more than {} rows: the others could not be looked at", q.target, q.cap));
        }
        if rows.rows.is_empty() {
            break;
        }
        rows = if also.each() {
            for_each(execute, q, chain, (also, &rows)).await
        } else {
            all_at_once(execute, q, chain, (also, &rows)).await
        }?;
    }
    Ok(rows)
}

fn asking(q: &Question, target: &str, deed: Deed) -> Question {
    Question { target: target.to_owned(), deed, ..q.clone() }
}

async fn all_at_once(execute: &Executors, q: &Question, chain: &Chained, next: (&Also, &Rows)) -> Result<Rows, String> {
    let (also, rows) = next;
    let mut values = chain.values.clone();
    values.insert(LISTED.to_owned(), rows.listed());
    let deed = also.ask()?.deed(&values, &[], chain.timeout)?;
    let found = execute.plain(&asking(q, &also.target, deed)).await?;
    if found.beyond > 0 {
        return Err(format!("{} knows more than {} rows: the others could not be looked at", also.target, q.cap));
    }
    if !found.rows.is_empty() && !rows.shares(&found) {
        return Err(format!("what {} says shares no column with the rows so far", also.target));
    }
    Ok(rows.joined(&found))
}

/// One call for every row. A row about which the target says nothing that agrees is left out; a target that
/// refuses one call refuses the whole question, for what it would have said is not known.
async fn for_each(execute: &Executors, q: &Question, chain: &Chained, next: (&Also, &Rows)) -> Result<Rows, String> {
    let (also, rows) = next;
    let mut all = Rows::default();
    for (i, row) in rows.identities(&rows.columns).into_iter().enumerate() {
        if i > 0 {
            sleep(GAP).await;
        }
        let deed = also.ask()?.deed(&BTreeMap::new(), std::slice::from_ref(&row), chain.timeout)?;
        let what = deed.text(0).lines().next().unwrap_or_default().to_owned();
        let found = execute.plain(&asking(q, &also.target, deed)).await.map_err(|why| format!("{why} ({what})"))?;
        let this = Rows { columns: rows.columns.clone(), rows: vec![rows.rows[i].clone()], beyond: 0 };
        let joined = this.joined(&found);
        all.columns = joined.columns;
        all.rows.extend(joined.rows);
    }
    Ok(all)
}
