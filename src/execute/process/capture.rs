//! Output. Takes bytes as they come; gives the first and the last of them as text, redacted across
//! every edge, and counts. Memory does not grow with what is written.

use std::collections::VecDeque;
use std::fmt::Write;

use tokio::io::AsyncReadExt;

use super::Gate;
use super::keep::Keep;
use super::spawn::Output;
use crate::model::process::Ran;

/// Kept of the beginning, and as much of the end.
const KEPT: usize = 64 * 1024;
/// Treated at a time.
const PIECE: usize = 64 * 1024;

pub(super) struct Capture<'a> {
    gate: Gate<'a>,
    keep: Keep,
    /// As it came and not yet treated; once no more is kept in the file, the last of it.
    raw: VecDeque<u8>,
    head: String,
    /// Something went into the tail, so nothing goes into the head any more.
    closed: bool,
    tail: String,
    bytes: u64,
    lines: u64,
    /// Thrown away from the front of `raw`.
    lost: u64,
    last: u8,
}

impl<'a> Capture<'a> {
    pub fn new(gate: Gate<'a>, keep: Keep) -> Capture<'a> {
        // Even without secrets, a character must not be cut in two.
        let gate = Gate { overlap: gate.overlap.max(4), ..gate };
        let (raw, head, tail) = (VecDeque::new(), String::new(), String::new());
        Capture { gate, keep, raw, head, closed: false, tail, bytes: 0, lines: 0, lost: 0, last: b'\n' }
    }

    /// Reads until nobody can write any more, or until `limit`. What was read is stored in any case.
    pub async fn drain(&mut self, output: &mut Output, limit: impl Future<Output = ()>) {
        let mut buffer = vec![0; PIECE];
        let mut limit = std::pin::pin!(limit);
        loop {
            tokio::select! {
                // First, or a flood would never be left.
                biased;
                () = &mut limit => return,
                read = output.read(&mut buffer) => match read {
                    Ok(n @ 1..) => self.take(&buffer[..n]).await,
                    // A pipe of our own cannot fail but by having no writer.
                    _ => return,
                },
            }
        }
    }

    async fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.lines += bytes.iter().filter(|b| **b == b'\n').count() as u64;
        self.last = bytes.last().copied().unwrap_or(self.last);
        self.raw.extend(bytes);
        if self.keep.full() {
            // Nothing of the middle is kept anywhere, so it is not treated either: a flood costs
            // no more than reading it.
            let over = self.raw.len().saturating_sub(KEPT + 2 * self.gate.overlap + 4);
            self.raw.drain(..over);
            self.lost += over as u64;
        } else if self.raw.len() >= PIECE + 2 * self.gate.overlap + 4 {
            let text = self.settled();
            self.store(&text).await;
        }
    }

    /// Takes from `raw` what can be treated without what is still to come.
    fn settled(&mut self) -> String {
        let raw = self.raw.make_contiguous();
        let most = raw.len() - self.gate.overlap;
        let cut = cut(&self.gate, raw, (most - self.gate.overlap - 4..=most).rev());
        let (text, at) = cut.map_or_else(
            // A redactor that finds longer things than it said: better nothing than half a secret.
            || (format!("[{most} bytes hidden: they could not be redacted piece by piece]\n"), most),
            |(whole, rest, at)| (whole[..whole.len() - rest].to_owned(), at),
        );
        self.raw.drain(..at);
        text
    }

    async fn store(&mut self, text: &str) {
        let text = shown(text);
        self.keep.add(text.as_bytes()).await;
        let room = text.floor_char_boundary(KEPT.saturating_sub(self.head.len()));
        let (head, rest) = text.split_at(if self.closed { 0 } else { room });
        self.closed |= !rest.is_empty();
        self.head.push_str(head);
        self.tail.push_str(rest);
        let over = self.tail.len().saturating_sub(KEPT);
        self.tail.drain(..self.tail.ceil_char_boundary(over));
    }

    /// The end of the output: treats what is left and says what there was.
    pub async fn finish(mut self) -> Ran {
        let raw = std::mem::take(&mut self.raw);
        let mut raw = Vec::from(raw);
        if self.lost > 0 {
            // The first bytes may be the rest of a secret whose beginning is gone.
            let from = self.gate.overlap;
            let safe = cut(&self.gate, &raw, from..=(2 * from + 4).min(raw.len()));
            let at = safe.map_or(raw.len(), |(_, _, at)| at);
            raw.drain(..at);
            self.lost += at as u64;
            self.keep.gap(self.lost).await;
            self.tail.clear();
        }
        let text = (self.gate.redact)(&decoded(&raw));
        self.store(&text).await;
        let lines = self.lines + u64::from(self.last != b'\n');
        let (file, file_fault) = self.keep.close().await;
        let Capture { head, tail, bytes, lost: not_kept, .. } = self;
        Ran { head, tail, bytes, lines, not_kept, file, file_fault, ..Ran::default() }
    }
}

/// The first place where both sides, redacted apart, are what the whole is: no secret crosses it.
/// Gives the whole redacted, how much of its end is behind the place, and the place.
fn cut(gate: &Gate<'_>, raw: &[u8], places: impl Iterator<Item = usize>) -> Option<(String, usize, usize)> {
    let whole = (gate.redact)(&decoded(raw));
    let fits = |at: usize| {
        let rest = (gate.redact)(&decoded(&raw[at..]));
        whole.ends_with(&rest).then_some((rest.len(), at))
    };
    let (rest, at) = { places }.find_map(fits)?;
    Some((whole, rest, at))
}

/// Bytes as text; those that are not UTF-8 as `\xNN`.
fn decoded(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Text with control characters other than line ends and tabs as escapes: it is read on terminals.
fn shown(text: &str) -> String {
    if !text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            _ if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out
}
