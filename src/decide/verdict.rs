//! The five states of a scenario. Takes what its detection found; gives the light and the figure that
//! decided it.

use crate::model::case::Detection;
use crate::model::outcome::{Checked, Verdict};
use crate::model::runbook::Detect;
use crate::model::time::Millis;
use crate::model::world::Streak;

/// What a scenario shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Light {
    Green,
    /// Failing, but fewer times in a row than the runbook's `failures`.
    Amber,
    Red,
    /// Never green: nobody knows.
    CouldNotCheck,
    NotConfigured,
    /// The answer is still awaited.
    Checking,
    /// It is told in a private channel only.
    Elsewhere,
}

impl Light {
    /// The word people read; colour alone says nothing.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Light::Green => "green",
            Light::Amber => "amber",
            Light::Red => "RED",
            Light::CouldNotCheck => "could not check",
            Light::NotConfigured => "not configured",
            Light::Checking => "checking",
            Light::Elsewhere => "told in its private channel only",
        }
    }

    /// The sign in front of the word.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Light::Green => "🟢",
            Light::Amber => "🟠",
            Light::Red => "🔴",
            Light::CouldNotCheck => "⚫",
            Light::NotConfigured => "⚪",
            Light::Checking => "⏳",
            Light::Elsewhere => "🔒",
        }
    }
}

/// Whether the checks say the scenario is failing: `None` if nobody can tell.
#[must_use]
pub fn failing(checked: &[Checked]) -> Option<bool> {
    let deciding: Vec<&Checked> = checked.iter().filter(|c| !c.evidence).collect();
    let any = |v: Verdict| deciding.iter().any(|c| c.verdict == v);
    match (any(Verdict::Fail), any(Verdict::CouldNot) || deciding.is_empty()) {
        (true, _) => Some(true),
        (false, true) => None,
        (false, false) => Some(false),
    }
}

/// Whether as many different checks fail as the runbook wants before it believes them.
#[must_use]
pub fn enough(checked: &[Checked], detect: &Detect) -> bool {
    let failed = checked.iter().filter(|c| c.verdict == Verdict::Fail && !c.evidence).count();
    failed >= usize::try_from(detect.probes).unwrap_or(usize::MAX)
}

/// The failures in a row after one more observation.
#[must_use]
pub fn streak(before: Streak, failing: Option<bool>, now: Millis) -> Streak {
    match failing {
        Some(true) => Streak { failures: before.failures.saturating_add(1), since: before.since.or(Some(now)) },
        Some(false) => Streak::default(),
        None => before,
    }
}

/// The light of a detection: red once enough checks failed often enough in a row.
#[must_use]
pub fn light(found: Option<&Detection>, detect: &Detect) -> Light {
    let Some(found) = found else { return Light::Checking };
    match failing(&found.checked) {
        Some(false) => Light::Green,
        None => Light::CouldNotCheck,
        Some(true) if found.streak >= detect.failures && enough(&found.checked, detect) => Light::Red,
        Some(true) => Light::Amber,
    }
}

/// The figures worth reading: those of the checks that decided the light.
#[must_use]
pub fn figures(checked: &[Checked]) -> Vec<String> {
    let worst = [Verdict::Fail, Verdict::CouldNot, Verdict::Pass]
        .into_iter()
        .find(|v| checked.iter().any(|c| c.verdict == *v && !c.evidence));
    let decided = |c: &&Checked| Some(c.verdict) == worst || c.verdict == Verdict::CouldNot || c.evidence;
    let mut figures: Vec<String> = Vec::new();
    for check in checked.iter().filter(decided) {
        // One lost connection is the same news for every check that needed it.
        if !figures.contains(&check.figure) {
            figures.push(check.figure.clone());
        }
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Span;

    fn found(verdicts: &[Verdict], streak: u32) -> Detection {
        let checked = verdicts
            .iter()
            .map(|v| Checked { id: "c".into(), verdict: *v, figure: "f".into(), evidence: false })
            .collect();
        Detection { at: Millis(0), checked, streak, since: None }
    }

    fn detect(failures: u32, probes: u32) -> Detect {
        Detect { every: Span::minutes(1), hours: None, failures, probes, checks: vec![] }
    }

    #[test]
    fn unknown_is_never_green_and_fewer_failures_are_amber() {
        use Verdict::{CouldNot, Fail, Pass};
        let light = |found: Option<&Detection>, failures| super::light(found, &detect(failures, 1));
        assert_eq!(light(Some(&found(&[Pass, Pass], 0)), 3), Light::Green);
        assert_eq!(light(Some(&found(&[Pass, CouldNot], 0)), 3), Light::CouldNotCheck);
        assert_eq!(light(Some(&found(&[Fail, CouldNot], 2)), 3), Light::Amber);
        assert_eq!(light(Some(&found(&[Fail, Pass], 3)), 3), Light::Red);
        assert_eq!(light(Some(&found(&[], 3)), 3), Light::CouldNotCheck);
        assert_eq!(light(None, 3), Light::Checking);
    }

    #[test]
    fn one_probe_is_not_believed_alone_where_two_are_wanted_and_evidence_never_decides() {
        use Verdict::{CouldNot, Fail, Pass};
        assert_eq!(light(Some(&found(&[Fail, Pass], 9)), &detect(3, 2)), Light::Amber);
        assert_eq!(light(Some(&found(&[Fail, Fail], 3)), &detect(3, 2)), Light::Red);
        let mut with = found(&[Pass, Fail], 3);
        with.checked[1].evidence = true;
        assert_eq!(light(Some(&with), &detect(1, 1)), Light::Green);
        assert_eq!(figures(&with.checked).len(), 1);
        with.checked[0].verdict = CouldNot;
        assert_eq!(light(Some(&with), &detect(1, 1)), Light::CouldNotCheck);
    }

    #[test]
    fn not_knowing_neither_counts_nor_clears() {
        let once = streak(Streak::default(), Some(true), Millis(5));
        assert_eq!(streak(once, None, Millis(6)), once);
        assert_eq!(streak(once, Some(true), Millis(7)), Streak { failures: 2, since: Some(Millis(5)) });
        assert_eq!(streak(once, Some(false), Millis(8)), Streak::default());
    }
}
