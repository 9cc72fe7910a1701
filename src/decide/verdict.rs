//! The five states of a scenario. Takes what its detection found; gives the light and the figure that
//! decided it.

use crate::model::case::Detection;
use crate::model::outcome::{Checked, Verdict};
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
        }
    }
}

/// Whether the checks say the scenario is failing: `None` if nobody can tell.
#[must_use]
pub fn failing(checked: &[Checked]) -> Option<bool> {
    let any = |v: Verdict| checked.iter().any(|c| c.verdict == v);
    match (any(Verdict::Fail), any(Verdict::CouldNot) || checked.is_empty()) {
        (true, _) => Some(true),
        (false, true) => None,
        (false, false) => Some(false),
    }
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

/// The light of a detection, given how many failures in a row make it red.
#[must_use]
pub fn light(found: Option<&Detection>, failures: u32) -> Light {
    let Some(found) = found else { return Light::Checking };
    match failing(&found.checked) {
        Some(false) => Light::Green,
        None => Light::CouldNotCheck,
        Some(true) if found.streak >= failures => Light::Red,
        Some(true) => Light::Amber,
    }
}

/// The figures worth reading: those of the checks that decided the light.
#[must_use]
pub fn figures(checked: &[Checked]) -> Vec<String> {
    let worst =
        [Verdict::Fail, Verdict::CouldNot, Verdict::Pass].into_iter().find(|v| checked.iter().any(|c| c.verdict == *v));
    let decided = |c: &&Checked| Some(c.verdict) == worst || c.verdict == Verdict::CouldNot;
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

    fn found(verdicts: &[Verdict], streak: u32) -> Detection {
        let checked = verdicts.iter().map(|v| Checked { id: "c".into(), verdict: *v, figure: "f".into() }).collect();
        Detection { at: Millis(0), checked, streak, since: None }
    }

    #[test]
    fn unknown_is_never_green_and_fewer_failures_are_amber() {
        use Verdict::{CouldNot, Fail, Pass};
        assert_eq!(light(Some(&found(&[Pass, Pass], 0)), 3), Light::Green);
        assert_eq!(light(Some(&found(&[Pass, CouldNot], 0)), 3), Light::CouldNotCheck);
        assert_eq!(light(Some(&found(&[Fail, CouldNot], 2)), 3), Light::Amber);
        assert_eq!(light(Some(&found(&[Fail, Pass], 3)), 3), Light::Red);
        assert_eq!(light(Some(&found(&[], 3)), 3), Light::CouldNotCheck);
        assert_eq!(light(None, 3), Light::Checking);
    }

    #[test]
    fn not_knowing_neither_counts_nor_clears() {
        let once = streak(Streak::default(), Some(true), Millis(5));
        assert_eq!(streak(once, None, Millis(6)), once);
        assert_eq!(streak(once, Some(true), Millis(7)), Streak { failures: 2, since: Some(Millis(5)) });
        assert_eq!(streak(once, Some(false), Millis(8)), Streak::default());
    }
}
