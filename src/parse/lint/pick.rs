//! What is wrong with the lists that parameters are chosen from, and with what is kept for them. Takes a
//! runbook; gives the parameter and the fault.

use std::collections::BTreeSet;

use crate::model::ask::Ask;
use crate::model::param::{Param, ParamType, Pick};
use crate::model::runbook::Runbook;
use crate::model::time::Span;

/// Every fault, with the parameter it belongs to.
pub(super) fn faults(runbook: &Runbook) -> Vec<(&String, String)> {
    let all = runbook.params.iter().filter_map(|(name, param)| Some((name, param, param.pick.as_ref()?)));
    all.filter_map(|(name, param, pick)| {
        let what = unfit(param, pick).or_else(|| blind(runbook, name, pick))?;
        Some((name, format!("the `pick` of parameter `{name}` {what}")))
    })
    .collect()
}

/// Every fault of what is kept, with the parameter it belongs to.
pub(super) fn kept(runbook: &Runbook) -> Vec<(&String, String)> {
    let fault = |param: &Param| {
        let Some(keep) = &param.keep else {
            return (param.kind == ParamType::Rows).then_some("is of type `rows` and needs `keep`, which brings them");
        };
        if param.kind != ParamType::Rows {
            Some("has `keep`, which brings rows: its `type` is `rows`")
        } else if param.pick.is_some() || param.default.is_some() || param.ask.is_some() {
            Some("is brought by `keep`: nobody picks, gives or is asked for it")
        } else if keep.every < Span::seconds(1) {
            Some("would be asked all the time: `every` is at least 1s")
        } else {
            (!Ask::Sql(&keep.sql).placeholders().is_empty())
                .then_some("is asked by itself, so its statement takes no parameters")
        }
    };
    let all = runbook.params.iter().filter_map(|(name, p)| Some((name, fault(p)?)));
    all.map(|(name, what)| (name, format!("parameter `{name}` {what}"))).collect()
}

/// The parameters that lists are asked with.
pub(super) fn used(runbook: &Runbook) -> BTreeSet<String> {
    let picks = runbook.params.values().filter_map(|p| p.pick.as_ref());
    picks.filter_map(|p| p.ask().ok()).flat_map(|ask| ask.placeholders()).collect()
}

/// Why it may not be asked, or could not be chosen from.
fn unfit(param: &Param, pick: &Pick) -> Option<String> {
    match pick.ask() {
        Err(why) => return Some(format!("is unclear: {why}")),
        Ok(Ask::Http(call)) if !call.method.reads() => {
            return Some(format!("uses {}, and a list only reads: use get or head", call.method.word()));
        }
        Ok(Ask::Http(call)) if call.each => return Some("asks once: `each` is for steps".to_owned()),
        Ok(_) => {}
    }
    match param.kind {
        ParamType::Choice => Some("has its values in the file already: use another `type`".to_owned()),
        ParamType::Text if pick.many => Some("joins by commas, which a `text` may hold: use another `type`".to_owned()),
        _ if pick.value.is_empty() || pick.label.as_ref().is_some_and(String::is_empty) => {
            Some("names an empty column".to_owned())
        }
        _ => None,
    }
}

/// It is asked before anything else is: only what has a default is known by then.
fn blind(runbook: &Runbook, name: &str, pick: &Pick) -> Option<String> {
    let known = |p: &String| p != name && runbook.params.get(p).is_some_and(|p| p.default.is_some());
    let odd = pick.ask().ok()?.placeholders().into_iter().find(|p| !known(p))?;
    Some(format!("uses `{odd}`, and only parameters with a `default` are known when it is asked"))
}
