//! Pacing of posts. Takes a channel and an urgency; gives the moment when a post may leave: one per
//! channel and spacing, urgent before the rest, none while the platform asked for silence.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// What Slack takes per channel.
const SPACING: Duration = Duration::from_secs(1);
const FORGET_AFTER: Duration = Duration::from_secs(600);
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// One gate for all posts of a bot; waiting costs a ticket, and a dropped wait gives it back.
#[derive(Debug)]
pub struct Gate {
    spacing: Duration,
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    channels: HashMap<String, Line>,
    next_ticket: u64,
    swept: Instant,
}

/// The waiters of one channel.
#[derive(Debug)]
struct Line {
    /// Nobody passes before this.
    open: Instant,
    used: Instant,
    urgent: VecDeque<u64>,
    other: VecDeque<u64>,
    turn: Arc<Notify>,
}

impl Line {
    fn head(&self) -> Option<u64> {
        self.urgent.front().or_else(|| self.other.front()).copied()
    }

    fn leave(&mut self, ticket: u64) {
        self.urgent.retain(|t| *t != ticket);
        self.other.retain(|t| *t != ticket);
        self.turn.notify_waiters();
    }
}

/// What a waiter learns when it asks.
enum Turn {
    Pass,
    At(Instant),
    Behind,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate::new(SPACING)
    }
}

impl Gate {
    /// A gate that lets one post per `spacing` into each channel.
    #[must_use]
    pub fn new(spacing: Duration) -> Gate {
        let book = Book { channels: HashMap::new(), next_ticket: 0, swept: Instant::now() };
        Gate { spacing, book: Mutex::new(book) }
    }

    /// Waits until a post may go into `channel`. Urgent waiters go first, whenever they came.
    pub async fn pass(&self, channel: &str, urgent: bool) {
        let (ticket, turn) = self.queue(channel, urgent);
        let seat = Seat { gate: self, channel, ticket };
        loop {
            // Made before asking, so that a change between asking and waiting is not missed.
            let changed = turn.notified();
            match self.ask(channel, ticket) {
                Turn::Pass => break,
                Turn::At(open) => tokio::select! {
                    () = sleep_until(open) => {}
                    () = changed => {}
                },
                Turn::Behind => changed.await,
            }
        }
        drop(seat);
    }

    /// Lets nobody into `channel` for this long; a longer hold stays.
    pub fn hold(&self, channel: &str, pause: Duration) {
        let now = Instant::now();
        let mut book = self.book();
        let line = line(&mut book, channel, now);
        line.open = line.open.max(now + pause);
        line.used = now;
    }

    /// How many channels are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.book().channels.len()
    }

    fn queue(&self, channel: &str, urgent: bool) -> (u64, Arc<Notify>) {
        let now = Instant::now();
        let mut book = self.book();
        sweep(&mut book, now);
        book.next_ticket += 1;
        let ticket = book.next_ticket;
        let line = line(&mut book, channel, now);
        line.used = now;
        if urgent {
            line.urgent.push_back(ticket)
        } else {
            line.other.push_back(ticket)
        }
        (ticket, Arc::clone(&line.turn))
    }

    fn ask(&self, channel: &str, ticket: u64) -> Turn {
        let now = Instant::now();
        let mut book = self.book();
        let line = line(&mut book, channel, now);
        if line.head() != Some(ticket) {
            return Turn::Behind;
        }
        if now < line.open {
            return Turn::At(line.open);
        }
        line.open = now + self.spacing;
        line.used = now;
        Turn::Pass
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // No code under the lock can leave the book half written.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a line; given back on drop, so that a cancelled wait blocks nobody.
struct Seat<'a> {
    gate: &'a Gate,
    channel: &'a str,
    ticket: u64,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some(line) = self.gate.book().channels.get_mut(self.channel) {
            line.leave(self.ticket);
        }
    }
}

fn line<'a>(book: &'a mut Book, channel: &str, now: Instant) -> &'a mut Line {
    book.channels.entry(channel.to_owned()).or_insert_with(|| Line {
        open: now,
        used: now,
        urgent: VecDeque::new(),
        other: VecDeque::new(),
        turn: Arc::new(Notify::new()),
    })
}

fn sweep(book: &mut Book, now: Instant) {
    if now.duration_since(book.swept) < SWEEP_EVERY {
        return;
    }
    book.swept = now;
    book.channels.retain(|_, line| {
        let waited_for = line.head().is_some() || now < line.open;
        waited_for || now.duration_since(line.used) < FORGET_AFTER
    });
}
