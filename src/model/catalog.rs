//! All runbooks of an installation, each with what a run of it depends on. Takes loaded files and values;
//! gives the runbook that is meant, and the values it runs with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alert::{AlertGroup, OWN, RUNBOOK};
use super::inbound::Standing;
use super::param::Param;
use super::runbook::Runbook;
use super::schedule::Schedule;
use super::shared::Shared;
use super::time::Millis;

/// A loaded runbook with the hash of everything a run of it depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// SHA-256 over the file, the shared file and the schema version, hex.
    pub closure: String,
    pub runbook: Runbook,
    /// Parameter values of this installation that replace the file's defaults.
    pub defaults: BTreeMap<String, String>,
    /// Why it cannot be used here (a target that is not configured), if so.
    pub unusable: Option<String>,
}

/// All runbooks, by name, and what they share.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalog {
    pub shared: Shared,
    pub runbooks: BTreeMap<String, Loaded>,
    /// What is wrong with the files as they are now; the catalog is then the last one that loaded.
    pub stale: Option<Stale>,
}

/// Runbook files that do not load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// When that was first seen.
    pub since: Millis,
    pub faults: Vec<String>,
}

impl Catalog {
    /// The runbook whose alert rule fits best: the one that names most labels, then the first by name.
    #[must_use]
    pub fn answering(&self, group: &AlertGroup) -> Option<&Loaded> {
        if group.source == OWN {
            return group.alerts.iter().find_map(|a| self.runbooks.get(a.labels.get(RUNBOOK)?));
        }
        let rules = self.runbooks.values().rev().flat_map(|l| l.runbook.alerts.iter().map(move |rule| (rule, l)));
        rules.filter(|(rule, _)| rule.fits(group)).max_by_key(|(rule, _)| rule.labels.len()).map(|(_, l)| l)
    }

    /// Whether rows are kept for a parameter of any runbook.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.runbooks.values().any(|l| l.runbook.params.values().any(|p| p.keep.is_some()))
    }

    /// What goes on by itself with these files, beginning with what `before` did not have or had otherwise.
    #[must_use]
    pub fn standing(&self, before: Option<&Catalog>) -> Vec<Standing> {
        let usable = |c: &Catalog, name: &String| c.runbooks.get(name).is_some_and(|l| l.unusable.is_none());
        let fresh = |name: &&String| usable(self, name) && !before.is_some_and(|b| usable(b, name));
        let watches = self.runbooks.keys().filter(fresh).cloned().map(Standing::Watch);
        let same = |s: &&Schedule| !before.is_some_and(|b| b.shared.schedules.contains(*s));
        let schedules = self.shared.schedules.iter().filter(same).map(|s| Standing::Schedule(s.id.clone()));
        watches.chain(schedules).collect()
    }

    /// The runbook called `name` or aliased so; case does not matter.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Loaded> {
        let is = |l: &&Loaded| {
            l.runbook.runbook.eq_ignore_ascii_case(name)
                || l.runbook.aliases.iter().any(|a| a.eq_ignore_ascii_case(name))
        };
        self.runbooks.values().find(is)
    }
}

impl Loaded {
    /// The values that are there without asking anybody: those of this installation and the file's.
    #[must_use]
    pub fn known(&self) -> BTreeMap<String, String> {
        let value = |(name, param): (&String, &Param)| {
            let text = self.defaults.get(name).or(param.default.as_ref());
            let Some(text) = text else { return Some((name.clone(), param.none_kept()?)) };
            Some((name.clone(), param.read(name, text).ok()?))
        };
        self.runbook.params.iter().filter_map(value).collect()
    }

    /// How many parameters people may give.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.runbook.params.values().filter(|p| p.keep.is_none()).count()
    }

    /// Refuses names that are no parameters.
    ///
    /// # Errors
    /// Names the first one, and what there is.
    pub fn only_known(&self, given: &BTreeMap<String, String>) -> Result<(), String> {
        let params = &self.runbook.params;
        let takes = |k: &String| params.get(k).is_some_and(|p| p.keep.is_none());
        let Some(odd) = given.keys().find(|k| !takes(k)) else { return Ok(()) };
        let known: Vec<_> = params.keys().filter(|k| takes(k)).map(String::as_str).collect();
        let takes = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(format!("runbook `{}` has no parameter `{odd}`: it takes {takes}", self.runbook.runbook))
    }

    /// The values of all parameters: the given ones checked, the others from their defaults or from what was
    /// kept for them.
    ///
    /// # Errors
    /// Names the first parameter that is unknown, missing or out of bounds.
    pub fn values(
        &self,
        given: &BTreeMap<String, String>,
        kept: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, String> {
        self.only_known(given)?;
        let params = &self.runbook.params;
        params
            .iter()
            .map(|(name, param)| {
                if let Some(none) = param.none_kept().filter(|_| !given.contains_key(name)) {
                    return Ok((name.clone(), kept.get(name).cloned().unwrap_or(none)));
                }
                let text = given.get(name).or_else(|| self.defaults.get(name)).or(param.default.as_ref());
                let text = text.ok_or_else(|| format!("parameter `{name}` needs a value: add {name}=VALUE"))?;
                Ok((name.clone(), param.read(name, text)?))
            })
            .collect()
    }
}
