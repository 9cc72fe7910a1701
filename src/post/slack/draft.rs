//! What goes into a message, and how much of it. Takes the parts of a message; gives one draft for each
//! block to be, chosen and measured so that all of them fit.

use super::limits::{ACTIONS, BLOCKS, BUTTON_TEXT};
use super::text::{Layout, cost, fit, is_blank, short};
use crate::model::message::{Button, Part, Run};

/// Room for the labels of all buttons, which are never shortened to make room for text.
const BUTTONS: usize = 6_000;

/// One block to be, with its text still as it came.
pub enum Draft<'a> {
    Rich { runs: Vec<(Run, Layout)>, look: Look },
    Buttons(&'a [Button]),
    Rule,
}

/// What kind of text a block holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Title,
    Text,
    Code,
    Small,
}

impl Draft<'_> {
    /// A block of one text.
    pub fn one(text: &str, layout: Layout, look: Look) -> Self {
        let run = if look == Look::Title { Run::Bold(text.to_owned()) } else { Run::Plain(text.to_owned()) };
        Draft::Rich { runs: vec![(run, layout)], look }
    }

    /// The text that can be shortened, by cost.
    pub fn demand(&self) -> usize {
        match self {
            Draft::Rich { runs, .. } => runs.iter().map(|(r, l)| cost(&fit(source(r), *l, usize::MAX).text)).sum(),
            Draft::Buttons(_) | Draft::Rule => 0,
        }
    }

    /// The text that cannot.
    pub fn fixed(&self) -> usize {
        match self {
            Draft::Buttons(buttons) => buttons.iter().map(|b| cost(&label(b).0)).sum(),
            Draft::Rich { .. } | Draft::Rule => 0,
        }
    }

    /// Whether there is nothing to see; Slack refuses blocks of white space.
    fn is_blank(&self) -> bool {
        match self {
            Draft::Rich { runs, .. } => runs.iter().all(|(r, l)| is_blank(source(r), *l)),
            Draft::Buttons(buttons) => buttons.is_empty(),
            Draft::Rule => false,
        }
    }
}

/// The text of a run.
pub fn source(run: &Run) -> &str {
    match run {
        Run::Plain(s) | Run::Bold(s) | Run::Code(s) => s,
        Run::Person { name, .. } => name,
    }
}

/// The blocks that a part needs; none if there is nothing to see.
pub fn drafts(part: &Part) -> Vec<Draft<'_>> {
    let all = match part {
        Part::Title(title) => vec![Draft::one(title, Layout::Line, Look::Title)],
        Part::Text(runs) => {
            let runs = runs.iter().map(|r| (r.clone(), Layout::Lines)).collect();
            vec![Draft::Rich { runs, look: Look::Text }]
        }
        Part::Facts(pairs) => {
            // Values stay on their line, so that none can pass for another fact.
            let runs = pairs.iter().enumerate().flat_map(|(at, (label, value))| {
                let start = if at == 0 { "" } else { "\n" };
                [
                    (Run::Plain(start.to_owned()), Layout::Lines),
                    (Run::Bold(label.clone()), Layout::Line),
                    (Run::Plain(": ".to_owned()), Layout::Lines),
                    (Run::Plain(value.clone()), Layout::Line),
                ]
            });
            vec![Draft::Rich { runs: runs.collect(), look: Look::Text }]
        }
        Part::Code(code) => vec![Draft::one(code, Layout::Lines, Look::Code)],
        Part::Small(small) => vec![Draft::one(small, Layout::Lines, Look::Small)],
        Part::Buttons(buttons) => buttons.chunks(ACTIONS).map(Draft::Buttons).collect(),
        Part::Rule => vec![Draft::Rule],
    };
    all.into_iter().filter(|d| !d.is_blank()).collect()
}

/// Splits the drafts into those that get a block and the others. Buttons come first, because without
/// them nobody can act; then from the top. One block stays free for saying what is missing.
pub fn select(drafts: Vec<Draft<'_>>) -> (Vec<Draft<'_>>, Vec<Draft<'_>>) {
    let (mut blocks, mut labels) = (BLOCKS - 1, BUTTONS);
    let mut keep = vec![false; drafts.len()];
    for buttons in [true, false] {
        for (draft, keep) in drafts.iter().zip(&mut keep) {
            if matches!(draft, Draft::Buttons(_)) == buttons && blocks > 0 && draft.fixed() <= labels {
                (blocks, labels, *keep) = (blocks - 1, labels - draft.fixed(), true);
            }
        }
    }
    let (kept, dropped): (Vec<_>, Vec<_>) = drafts.into_iter().zip(keep).partition(|(_, keep)| *keep);
    (kept.into_iter().map(|(d, _)| d).collect(), dropped.into_iter().map(|(d, _)| d).collect())
}

/// The most that each part may take so that all together fit: small parts stay whole, the big ones
/// share what is left evenly. So a long statement cannot push out the line under it.
pub fn share(mut demands: Vec<usize>, mut room: usize) -> usize {
    demands.sort_unstable();
    for (at, demand) in demands.iter().enumerate() {
        let even = room / (demands.len() - at);
        if *demand > even {
            return even;
        }
        room -= demand;
    }
    usize::MAX
}

/// The text on a button, and whether it had to be cut.
pub fn label(button: &Button) -> (String, bool) {
    short(&button.label, Layout::Line, BUTTON_TEXT, "(no label)")
}
