//! What is well formed in the shared file and still wrong. Takes it with the runbooks; gives every fault with
//! its place.

use std::collections::BTreeMap;

use super::catalog::{self, SHARED};
use super::near::nearest;
use crate::model::catalog::Loaded;
use crate::model::runbook::Shared;

/// Every name that leads nowhere and every line that says too little.
pub(super) fn faults(text: &str, shared: &Shared, runbooks: &BTreeMap<String, Loaded>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |needles: &[&str], what: String| faults.push(catalog::fault(SHARED, text, needles, &what));
    for s in &shared.services {
        let at = ["services:", s.name.as_str()];
        if !(1..=3).contains(&s.tier) {
            fault(&at, format!("tier {} does not exist: 1 is restored first, 3 last", s.tier));
        }
        if s.probes.is_empty() == s.gap.is_none() {
            fault(&at, format!("`{}` needs either `probes` that look at it, or `gap` with why nothing does", s.name));
        }
        for probe in &s.probes {
            if let Some(why) = nowhere(probe, shared, runbooks) {
                fault(&["services:", probe], why);
            }
        }
    }
    let roles: Vec<&str> = shared.contacts.iter().map(|c| c.role.as_str()).collect();
    let levels = shared.escalation.iter().filter_map(|l| Some(("escalation:", l.role.as_ref()?)));
    let duties = shared.checklist.iter().map(|d| ("checklist:", &d.owner));
    let owners = shared.schedules.iter().filter_map(|s| Some(("schedules:", s.owner.as_ref()?)));
    for (list, role) in levels.chain(duties).chain(owners).filter(|(_, r)| !roles.contains(&r.as_str())) {
        let near = nearest(role, roles.iter().copied()).map_or(String::new(), |n| format!("did you mean `{n}`? Or "));
        fault(&[list, role], format!("nobody under `contacts` has the role `{role}`: {near}add it there"));
    }
    for pair in shared.escalation.windows(2) {
        if pair[1].level != pair[0].level + 1 || pair[1].after.is_some_and(|a| Some(a) < pair[0].after) {
            let what = format!("level {} must follow level {}, and not earlier", pair[1].level, pair[0].level);
            fault(&["escalation:", &format!("level: {}", pair[1].level)], what);
        }
    }
    for s in &shared.schedules {
        let at = ["schedules:", s.what.as_str()];
        if let Err(why) = s.judge() {
            fault(&at, why);
        }
        if shared.schedules.iter().filter(|o| o.id == s.id).count() > 1 {
            fault(&at, format!("two schedules are called `{}`: each needs an id of its own", s.id));
        }
        match &s.probe {
            Some(probe) => {
                if let Some(why) = nowhere(probe, shared, runbooks) {
                    fault(&["schedules:", probe], why);
                }
            }
            None if s.owner.is_none() => {
                fault(&at, format!("`{}` is done by nobody: add `probe` or `owner`", s.what));
            }
            None => {}
        }
    }
    faults
}

/// Why a probe looks at nothing. A scenario without a file yet may be named.
fn nowhere(probe: &str, shared: &Shared, runbooks: &BTreeMap<String, Loaded>) -> Option<String> {
    let (runbook, check) = probe.split_once('/').map_or((probe, None), |(r, c)| (r, Some(c)));
    let Some(loaded) = runbooks.get(runbook) else {
        let meant = shared.scenarios.iter().any(|s| s.runbook == runbook);
        return (!meant).then(|| format!("there is no runbook `{runbook}`: name one, or one check as RUNBOOK/CHECK"));
    };
    let checks: Vec<&str> = loaded.runbook.detect.checks.iter().map(|c| c.id.as_str()).collect();
    let check = check.filter(|c| !checks.contains(c))?;
    Some(format!("the detection of `{runbook}` has no check `{check}`: it has {}", checks.join(", ")))
}
