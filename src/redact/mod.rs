//! Keeps secrets and customers' data out of the store and out of chat. Takes texts and rows; gives them
//! back with known secrets replaced, in raw, base64, hex, URL and JSON form, and masked columns masked.
//! Pure; literal matching only, so there is no pattern that could fail open.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::model::approval::TargetIdentity;
use crate::model::expect::Rows;
use crate::model::inbound::{Delivery, Input};
use crate::model::outcome::{Checked, Ended, Outcome};

/// What stands where a secret stood.
pub const MARK: &str = "[secret]";

/// The shortest secret that is looked for: shorter ones would mangle ordinary words.
const SHORTEST: usize = 8;

/// Everything that must never be stored or said, in every form it may take. Longest first.
#[derive(Clone, Default)]
pub struct Redactor {
    needles: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} needles)", self.needles.len())
    }
}

impl Redactor {
    /// A redactor for these secrets; those shorter than 8 characters are not looked for.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Redactor {
        let mut needles: Vec<String> = secrets.into_iter().filter(|s| s.len() >= SHORTEST).flat_map(forms).collect();
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        needles.dedup();
        Redactor { needles }
    }

    /// Bytes of the longest thing that is looked for.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.needles.first().map_or(0, String::len)
    }

    /// The text with every known secret replaced.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for needle in &self.needles {
            if out.contains(needle.as_str()) {
                out = out.replace(needle.as_str(), MARK);
            }
        }
        out
    }

    /// An input on its way to `decide`: the texts that people and systems wrote.
    pub fn delivery(&self, delivery: &mut Delivery) {
        use crate::model::command::Command;
        let fix = |t: &mut String| *t = self.text(t);
        match &mut delivery.input {
            Input::Said { said: Ok(asked), .. } => match &mut asked.command {
                Command::Note { text } => fix(text),
                Command::Declare { title } => fix(title),
                Command::Deny { reason, .. } | Command::Skip { reason, .. } | Command::Abort { reason } => fix(reason),
                Command::Done { evidence, .. } => fix(evidence),
                _ => {}
            },
            Input::Said { said: Err(text), .. } => fix(text),
            Input::Alerted(group) => {
                fix(&mut group.title);
                group.alerts.iter_mut().for_each(|a| fix(&mut a.alert.summary));
            }
            Input::Filled(form) => fix(&mut form.text),
            Input::Came { outcome, .. } => self.outcome(outcome, &[]),
            _ => {}
        }
    }

    /// An outcome on its way to the store; the named columns are masked.
    pub fn outcome(&self, outcome: &mut Outcome, sensitive: &[String]) {
        let fix = |t: &mut String| *t = self.text(t);
        match outcome {
            Outcome::Checked(list) => list.iter_mut().for_each(|c: &mut Checked| fix(&mut c.figure)),
            Outcome::Previewed { rows, identity } => {
                self.rows(rows, sensitive);
                self.identity(identity);
            }
            Outcome::Ended(Ended::Done { rows }) => self.rows(rows, sensitive),
            Outcome::Ended(Ended::NotStarted { why } | Ended::Failed { why } | Ended::Unknown { why })
            | Outcome::NoPreview { why }
            | Outcome::PostFailed { why, .. }
            | Outcome::Probed { figure: why, .. } => fix(why),
            Outcome::Posted { .. } | Outcome::Opened { .. } | Outcome::Told => {}
        }
    }

    fn identity(&self, identity: &mut TargetIdentity) {
        identity.server = self.text(&identity.server);
    }

    /// Rows with the named columns masked and secrets replaced.
    pub fn rows(&self, rows: &mut Rows, sensitive: &[String]) {
        let masked: Vec<bool> = rows.columns.iter().map(|c| sensitive.contains(c)).collect();
        for row in &mut rows.rows {
            for (cell, hide) in row.iter_mut().zip(&masked) {
                if let Some(text) = cell {
                    *text = self.text(&if *hide { mask(text) } else { text.clone() });
                }
            }
        }
    }
}

/// Every form of one secret: raw, base64 in three alignments and two alphabets, hex, URL and JSON.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let mut all = vec![secret.to_owned(), hex::encode(bytes), hex::encode_upper(bytes)];
    for lead in 0..3 {
        // At each alignment only the characters that depend on nothing but the secret are looked for.
        let padded = [vec![0; lead], bytes.to_vec()].concat();
        let (skip, keep) = (lead.div_ceil(3) * 4 - if lead == 0 { 0 } else { 3 - lead }, padded.len() * 8 / 6);
        for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            all.push(text[skip.min(keep)..keep].to_owned());
        }
    }
    let url: String = url::form_urlencoded::byte_serialize(bytes).collect();
    all.push(url.replace('+', "%20"));
    all.push(url);
    all.push(percent(bytes));
    let json = serde_json::to_string(secret).unwrap_or_default();
    all.push(json.trim_matches('"').to_owned());
    all.push(secret.replace('\'', "''"));
    all.retain(|n| n.len() >= SHORTEST);
    all
}

fn percent(bytes: &[u8]) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    bytes.iter().map(|b| if plain(*b) { char::from(*b).to_string() } else { format!("%{b:02x}") }).collect()
}

/// SQL text with its shape kept and its data gone: quoted texts and numbers become `?`. A quote that is
/// never closed (the text was cut) hides the rest.
#[must_use]
pub fn mask(sql: &str) -> String {
    let (mut out, mut rest, mut word) = (String::with_capacity(sql.len()), sql, false);
    while let Some(c) = rest.chars().next() {
        let dollar = dollar_tag(rest);
        rest = if let Some(tag) = dollar {
            out.push('?');
            rest[tag.len()..].find(tag).map_or("", |at| &rest[tag.len() + at + tag.len()..])
        } else if c == '\'' {
            out.push('?');
            after_quote(&rest[1..])
        } else if c.is_ascii_digit() && !word {
            out.push('?');
            rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.')
        } else {
            out.push(c);
            &rest[c.len_utf8()..]
        };
        word = dollar.is_none() && c != '\'' && (c.is_alphanumeric() || c == '_' || c == '$');
    }
    out
}

fn dollar_tag(text: &str) -> Option<&str> {
    let body = text.strip_prefix('$')?;
    let end = body.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    let named = body[..end].chars().next().is_none_or(|c| !c.is_ascii_digit());
    (named && body[end..].starts_with('$')).then(|| &text[..end + 2])
}

fn after_quote(text: &str) -> &str {
    let mut rest = text;
    loop {
        let Some(at) = rest.find(['\'', '\\']) else { return "" };
        let (doubled, escaped) = (rest[at..].starts_with("''"), rest[at..].starts_with('\\'));
        rest = match (doubled, escaped) {
            (true, _) => &rest[at + 2..],
            // A backslash may escape the quote (E'…'): skipping one character too many hides more, never less.
            (_, true) => rest[at + 1..].chars().next().map_or("", |c| &rest[at + 1 + c.len_utf8()..]),
            _ => return &rest[at + 1..],
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_promised_form_and_alignment() {
        let secret = "p4ss/w+rd \"x\"'y' ünï";
        let r = Redactor::new([secret]);
        let mut texts = vec![
            secret.to_owned(),
            hex::encode(secret),
            hex::encode_upper(secret),
            serde_json::to_string(secret).unwrap(),
            secret.replace('\'', "''"),
        ];
        texts.push(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect());
        for lead in ["", "a", "ab", "abc", "user:"] {
            let whole = format!("{lead}{secret}tail");
            texts.push(STANDARD_NO_PAD.encode(&whole));
            texts.push(URL_SAFE_NO_PAD.encode(&whole));
        }
        for text in texts {
            let got = r.text(&format!("before {text} after"));
            assert!(got.contains(MARK), "{text} -> {got}");
            assert!(got.starts_with("before ") && got.ends_with(" after"), "{got}");
        }
        assert_eq!(r.text("nothing here"), "nothing here");
    }

    #[test]
    fn statements_keep_their_shape_and_lose_their_data() {
        let table = [
            ("select * from users where email = 'a@b.c' and id = 42", "select * from users where email = ? and id = ?"),
            ("select t1.x from t1 where y in (1,2.5,'it''s')", "select t1.x from t1 where y in (?,?,?)"),
            ("select $$secret$$, $1, $tag$a $$ b$tag$ x", "select ?, $1, ? x"),
            ("update u set n = 'cut off her", "update u set n = ?"),
            ("select E'a\\'b secret' , 'c'", "select E? , ?"),
        ];
        for (sql, masked) in table {
            assert_eq!(mask(sql), masked);
        }
    }
}
