//! Did you mean. Takes a word and the words that exist; gives the one that was probably meant.

/// The nearest of the words, if one is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = if word.chars().count() < 3 { 1 } else { 2 };
    // A plural, or a word cut short, is near however many letters it takes.
    let short = |a: &str, b: &str| {
        let stem: String = a.chars().take(a.chars().count().saturating_sub(1)).collect();
        stem.len() >= 3 && b.starts_with(&stem)
    };
    let far = |w: &str| if short(w, word) || short(word, w) { 1 } else { distance(word, w) };
    words.into_iter().map(|w| (far(w), w)).min().filter(|(d, _)| *d <= most).map(|(_, w)| w)
}

/// Edit distance with a transposition counted as one.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(32).collect(), b.chars().take(32).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let swap = if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        rows[i - 2][j - 2] + 1
                    } else {
                        usize::MAX
                    };
                    let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(swap)
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let words = ["title", "tier", "timeout", "identity", "rows"];
        let near = |w| nearest(w, words);
        assert_eq!([near("titel"), near("teir"), near("row")], [Some("title"), Some("tier"), Some("rows")]);
        assert_eq!([near("identities"), near("frobnicate"), near("x")], [Some("identity"), None, None]);
    }
}
