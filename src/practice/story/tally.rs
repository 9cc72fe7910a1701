//! What the audience reads. Takes narration, cards and claims; prints them one after the other, counts
//! which claims held and gives the last word.

use tokio::time::Instant;

/// Longer lines of a card are broken here.
const WIDE: usize = 104;

/// The claims so far.
pub struct Tally {
    say: fn(&str),
    begun: Instant,
    passed: u32,
    failed: u32,
    refused: Option<String>,
}

impl Tally {
    /// Nothing claimed yet; `say` prints.
    #[must_use]
    pub fn new(say: fn(&str)) -> Tally {
        Tally { say, begun: Instant::now(), passed: 0, failed: 0, refused: None }
    }

    /// A new part of the story.
    pub fn scene(&self, title: &str) {
        (self.say)(&format!("\n== {title}"));
    }

    /// What happens now.
    pub fn note(&self, text: &str) {
        (self.say)(text);
    }

    /// A message as a person reads it.
    pub fn card(&self, caption: &str, text: &str) {
        let mut shown = format!("\n   {caption}\n");
        for line in text.lines() {
            let chars: Vec<char> = line.chars().collect();
            let mut sign = '│';
            // An empty line has no chunk of its own.
            for part in chars.chunks(WIDE).chain(chars.is_empty().then_some([].as_slice())) {
                shown.push_str(format!("   {sign} {}", part.iter().collect::<String>()).trim_end());
                shown.push('\n');
                sign = '┆';
            }
        }
        (self.say)(&shown);
        (self.say)("");
    }

    /// One claim; what was expected and found is said only if it does not hold.
    pub fn claim(&mut self, name: &str, holds: bool, expected: &str, found: &str) -> bool {
        if holds {
            self.passed += 1;
            (self.say)(&format!("ok    {name}"));
        } else {
            self.failed += 1;
            let inner = |text: &str| text.replace('\n', "\n                 ");
            (self.say)(&format!(
                "FAIL  {name}\n      expected:  {}\n      found:     {}",
                inner(expected),
                inner(found)
            ));
        }
        holds
    }

    /// The claim that two texts are the same, byte for byte.
    pub fn same(&mut self, name: &str, expected: &str, found: &str) -> bool {
        self.claim(name, expected == found, expected, found)
    }

    /// The claim that a text contains all of these.
    pub fn says(&mut self, name: &str, text: &str, wanted: &[&str]) -> bool {
        let missing: Vec<&str> = wanted.iter().filter(|w| !text.contains(**w)).copied().collect();
        self.claim(name, missing.is_empty(), &missing.join(" | "), text)
    }

    /// The refusal that a sabotaged story demands was seen; it counts only if no claim fails.
    pub fn refused(&mut self, what: &str) {
        self.refused = Some(what.to_owned());
    }

    /// Says the sum. Gives whether every claim held.
    #[must_use]
    pub fn end(&self) -> bool {
        let whole = self.failed == 0 && self.passed > 0;
        if let Some(what) = self.refused.as_ref().filter(|_| whole) {
            (self.say)(&format!("\nrefused as demanded: {what}"));
        }
        let seconds = self.begun.elapsed().as_secs_f32();
        (self.say)(&format!("\n{} passed, {} failed, in {seconds:.1} s", self.passed, self.failed));
        whole
    }
}
