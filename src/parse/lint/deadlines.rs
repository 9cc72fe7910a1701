//! What is wrong with the clocks of a runbook. Takes the runbook; gives each fault.

use crate::model::runbook::{Runbook, Work};
use crate::model::time::Span;

/// Clocks that no step ends, that two rules share, or that remind outside their time.
pub(super) fn faults(runbook: &Runbook) -> Vec<String> {
    let mut found = Vec::new();
    for (at, rule) in runbook.deadlines.iter().enumerate() {
        let manual = |s: &&crate::model::runbook::Step| s.id == rule.until && matches!(s.work, Work::Manual(_));
        if runbook.steps.iter().find(manual).is_none() {
            found.push(format!(
                "`until: {}` must name a manual step of this runbook: its report ends the clock",
                rule.until
            ));
        }
        if runbook.deadlines[..at].iter().any(|other| other.until == rule.until) {
            found.push(format!("two deadlines end with `{}`: each needs a step of its own", rule.until));
        }
        if rule.within < Span::seconds(1) || rule.remind.iter().any(|r| *r >= rule.within || r.0 <= 0) {
            found.push(format!("each `remind` of `{}` must be shorter than its `within`", rule.title));
        }
        if rule.title.trim().is_empty() || rule.title.chars().count() > 100 || rule.role.trim().is_empty() {
            found.push("a deadline has a `title` of 1 to 100 characters and a `role` that is reminded".to_owned());
        }
    }
    found
}
