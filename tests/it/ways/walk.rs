//! The one procedure that takes the changing steps of a runbook four ways on the running bot. Takes a stage and an
//! entry of the table; believes the targets' own records and the card.

use std::path::PathBuf;
use std::time::Duration;

use drbot::practice::slack::plain_text;
use tokio::time::{Instant, sleep};

use super::entry::{Again, Back, Book, End, Play, Trouble, Way};
use super::site::Site;
use crate::world::{CHANNEL, LIMIT};

/// What the card asks for next.
#[derive(Debug, Clone, PartialEq)]
enum Asks {
    Approve(String, String),
    Done(String),
    Choose(Vec<String>),
    Stopped(String),
    Over(String),
}

/// One run in an incident of its own.
struct Run<'a> {
    site: &'a Site<'a>,
    book: &'a Book,
    play: &'a Play,
    incident: u64,
    again: bool,
    /// What was answered already, since a card may be a moment late.
    seen: Vec<Asks>,
    chosen: usize,
    /// Step to its record before it had its effect.
    before: Vec<(&'static str, String)>,
    /// Steps that were gone through this time.
    gone: Vec<&'static str>,
}

/// Takes every step of every play four ways.
pub async fn walked(site: &Site<'_>, book: &Book) {
    for play in book.plays {
        for act in play.before {
            site.act(act).await;
        }
        let mut first = Run::begin(site, book, play, false).await;
        first.through().await;
        let left = first.play.ways.iter().find(|w| !first.gone.contains(&w.step));
        assert!(left.is_none(), "{}: step `{}` never asked for an approval", book.runbook, left.map_or("", |w| w.step));
        let mut second = Run::begin(site, book, play, true).await;
        second.through().await;
        for way in play.ways.iter().rev() {
            first.undone(way).await;
        }
    }
}

impl<'a> Run<'a> {
    async fn begin(site: &'a Site<'a>, book: &'a Book, play: &'a Play, again: bool) -> Run<'a> {
        let said = site.say("alice", "declare four ways").await;
        let number = said.split("INC-").nth(1).and_then(|t| t.split(' ').next()).and_then(|n| n.parse().ok());
        let incident = number.unwrap_or_else(|| panic!("{said}"));
        let mut run = Run {
            site,
            book,
            play,
            incident,
            again,
            seen: Vec::new(),
            chosen: 0,
            before: Vec::new(),
            gone: Vec::new(),
        };
        run.start().await;
        run
    }

    async fn start(&mut self) {
        // The card shows the end of the run before for a moment.
        let stays = |a: &Asks| matches!(a, Asks::Stopped(why) if self.passed(why).is_none());
        self.seen = self.seen.iter().filter(|a| stays(a)).cloned().collect();
        self.chosen = 0;
        let given = self.site.fill(self.play.given);
        let said = self.to("alice", "run", &format!("{} {given}", self.book.runbook)).await;
        assert!(said.starts_with("Started"), "{said}");
    }

    /// Types a command about this incident.
    async fn to(&self, who: &str, verb: &str, rest: &str) -> String {
        self.site.say(who, &format!("{verb} INC-{} {rest}", self.incident)).await
    }

    /// The card's line about a step.
    fn state(&self, card: &str, step: &str) -> String {
        self.site.state(self.book.runbook, card, step)
    }

    /// The incident's card as it is now.
    fn card(&self) -> String {
        let mark = format!("INC-{} ", self.incident);
        let all = self.site.saas.world.slack.messages(CHANNEL);
        let card = all.iter().filter(|m| m.thread_ts.is_none()).map(plain_text).find(|t| t.contains(&mark));
        card.unwrap_or_default()
    }

    /// Waits until the card satisfies this.
    async fn see(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let seen = self.site.saas.world.slack.wait(LIMIT, || Some(self.card()).filter(|c| wanted(c))).await;
        seen.unwrap_or_else(|| panic!("{}: never {what}:\n{}\n{}", self.book.runbook, self.card(), self.site.log()))
    }

    /// The next thing that the card asks for.
    async fn asks(&self) -> Asks {
        let look = || asked(&self.card(), self).filter(|a| !self.seen.contains(a));
        let found = self.site.saas.world.slack.wait(LIMIT, look).await;
        found.unwrap_or_else(|| {
            panic!("{}: nothing is asked any more:\n{}\n{}", self.book.runbook, self.card(), self.site.log())
        })
    }

    /// Answers all that is asked, up to the end.
    async fn through(&mut self) {
        loop {
            let next = self.asks().await;
            self.seen.push(next.clone());
            match next {
                Asks::Approve(id, step) => self.approval(&id, &step).await,
                Asks::Done(step) => {
                    for (_, act) in self.play.people.iter().filter(|(s, _)| *s == step && !self.again) {
                        self.site.act(act).await;
                    }
                    let said = self.to("bob", "done", &format!("{step} seen and done")).await;
                    assert!(said.contains("is done"), "{said}");
                }
                Asks::Choose(labels) => {
                    let label = self.play.choose.get(self.chosen).unwrap_or_else(|| panic!("no choice of {labels:?}"));
                    self.chosen += 1;
                    let at = labels.iter().position(|l| l == label).unwrap_or_else(|| panic!("{label}: {labels:?}"));
                    self.to("alice", "next", &(at + 1).to_string()).await;
                }
                Asks::Stopped(why) if self.passed(&why).is_some() => {
                    let step = self.passed(&why).unwrap_or_default();
                    let said = self.to("alice", "skip", &format!("{step} it was seen before")).await;
                    assert!(said.contains("Skipped"), "{said}");
                }
                Asks::Stopped(why) => {
                    let meant = |w: &&Way| matches!(w.again, Again::Stops(at) if why.contains(at));
                    let fine = self.again && self.play.ways.iter().any(|w| meant(&w));
                    assert!(fine, "{}: it stopped: {why}\n{}", self.book.runbook, self.card());
                    return self.abort().await;
                }
                Asks::Over(card) => {
                    if self.play.until.is_some() {
                        self.abort().await;
                    }
                    return self.over(&card);
                }
            }
        }
    }

    /// The look that stopped, if it may be left out here.
    fn passed(&self, why: &str) -> Option<&'static str> {
        self.play.passes.iter().copied().find(|step| why.contains(&format!("Paused: {step} ")))
    }

    /// Ends the run, once nothing is in flight any more.
    async fn abort(&self) {
        let until = Instant::now() + LIMIT;
        loop {
            let said = self.to("alice", "abort", "that was it").await;
            if said.starts_with("Aborted") {
                return;
            }
            assert!(said.contains("in flight") && Instant::now() < until, "{said}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// A second run found nothing to do where it should not.
    fn over(&self, card: &str) {
        for way in self.play.ways.iter().filter(|w| self.again && w.again == Again::Nothing) {
            let line = self.state(card, way.step);
            assert!(line.contains("(skipped): nothing to do"), "`{}` a second time: {card}", way.step);
        }
        for way in self.play.ways.iter().filter(|_| !self.again) {
            assert!(self.state(card, way.step).contains("(done"), "`{}` is not done: {card}", way.step);
        }
    }

    async fn approval(&mut self, id: &str, step: &str) {
        let way = self.play.ways.iter().find(|w| w.step == step);
        match (way, self.again) {
            // Begun anew after a later step led to an end: what had its effect has no other.
            (Some(way), false) if self.gone.contains(&way.step) => self.agree(id).await,
            (Some(way), false) => self.first(id, way).await,
            (Some(way), true) => self.second(id, way).await,
            (None, false) => self.agree(id).await,
            (None, true) => self.pass_by(id, step).await,
        }
    }

    async fn agree(&self, id: &str) {
        let said = self.site.say("bob", &format!("approve {id}")).await;
        if said.contains("It still") {
            self.site.say("carol", &format!("approve {id}")).await;
        }
    }

    /// Denies and leaves the step out.
    async fn pass_by(&mut self, id: &str, step: &str) {
        self.site.say("bob", &format!("deny {id} it was done before")).await;
        self.see("denied", |c| self.state(c, step).contains("denied")).await;
        self.seen.extend(stopped(&self.card()));
        let said = self.to("alice", "skip", &format!("{step} it was done before")).await;
        assert!(said.contains("Skipped"), "{said}");
    }

    async fn record(&self, way: &Way) -> String {
        let kept = match &way.kept {
            Some(kept) => self.site.record(kept).await,
            None => String::new(),
        };
        format!("{} {kept}", self.site.record(&way.record).await)
    }

    /// Failing, as often as the entry says, and then once.
    async fn first(&mut self, id: &str, way: &'static Way) {
        let Some(trouble) = way.troubles.get(self.site.failed(way.step)) else { return self.once(id, way).await };
        self.site.count(way.step);
        self.site.act(&trouble.on).await;
        if trouble.end == End::Happened {
            return self.lost(id, way, trouble).await;
        }
        let (before, calls) = (self.record(way).await, self.site.sent());
        self.agree(id).await;
        self.refused(way, trouble).await;
        assert_eq!(self.record(way).await, before, "`{}` refused ({}): half of it stays", way.step, trouble.told);
        let more = self.site.sent() - calls;
        assert!(more <= 1, "`{}` refused, and sent {more} times", way.step);
        self.site.act(&trouble.off).await;
        self.seen.extend(stopped(&self.card()));
        if trouble.end == End::Leads {
            self.abort().await;
            self.start().await;
            // The step has work again, and the card may show the run before for a moment.
            let stale = |c: &str| self.play.until.is_some_and(|u| self.state(c, u).contains("(skipped"));
            drop(self.see("begun anew", |c| !stale(c)).await);
            return;
        }
        self.to("alice", "next", "").await;
    }

    /// Done once, told as an error, and not sent again.
    async fn lost(&mut self, id: &str, way: &'static Way, trouble: &Trouble) {
        let calls = self.site.sent();
        self.once(id, way).await;
        self.see(trouble.told, |c| self.state(c, way.step).contains("(done")).await;
        assert_eq!(self.site.sent(), calls + 1, "`{}` happened, and was sent again", way.step);
        let told = self.site.shown(&format!("timeline INC-{}", self.incident)).await;
        assert!(told.contains(trouble.told) && told.contains("the probe says it happened"), "{told}");
        self.site.act(&trouble.off).await;
    }

    async fn refused(&self, way: &Way, trouble: &Trouble) {
        let told = trouble.told;
        let calls = || self.site.sent();
        match trouble.end {
            End::Failed => drop(self.see(told, |c| c.contains(told) && c.contains("Paused")).await),
            End::Happened => panic!("`{}` did happen", way.step),
            End::Probed => {
                let line = |c: &str| self.state(c, way.step);
                self.see(told, |c| line(c).contains("the probe says it did not happen") && line(c).contains(told))
                    .await;
            }
            End::Leads => drop(self.see(told, |c| c.contains(told) && c.contains("did not go through")).await),
            End::Unknown => {
                self.see("unknown", |c| c.contains("UNKNOWN whether it happened") && c.contains(told)).await;
                let sent = calls();
                self.to("alice", "next", "").await;
                let alone = self.to("bob", "settle", &format!("{} not", way.step)).await;
                assert!(alone.contains("A second person"), "{alone}");
                assert!(self.card().contains("UNKNOWN whether it happened"), "{}", self.card());
                assert_eq!(calls(), sent, "`{}` is unknown, and was sent again", way.step);
                let said = self.to("carol", "settle", &format!("{} not", way.step)).await;
                assert!(said.contains("Settled"), "{said}");
                self.see("settled", |c| c.contains("did not happen") && c.contains("Paused")).await;
            }
        }
        assert!(!self.state(&self.card(), way.step).contains("(done"), "refused, and told as done: {}", self.card());
    }

    /// Its effect is there, in the target's own record.
    async fn once(&mut self, id: &str, way: &'static Way) {
        let before = self.site.record(&way.record).await;
        self.agree(id).await;
        let until = Instant::now() + LIMIT;
        while self.site.record(&way.record).await == before {
            assert!(Instant::now() < until, "`{}` has no effect: {}\n{}", way.step, self.card(), self.site.log());
            sleep(Duration::from_millis(50)).await;
        }
        if let Some(act) = &way.after {
            self.site.act(act).await;
        }
        self.before.push((way.step, before));
        self.gone.push(way.step);
    }

    /// The same work asked for a second time.
    async fn second(&mut self, id: &str, way: &'static Way) {
        let before = self.record(way).await;
        match way.again {
            Again::Nothing | Again::Stops(_) => panic!("`{}` has work a second time: {}", way.step, self.card()),
            Again::Asks => {
                let calls = self.site.sent();
                self.pass_by(id, way.step).await;
                assert_eq!(self.site.sent(), calls, "`{}` was denied, and sent", way.step);
            }
            Again::Same => {
                self.agree(id).await;
                self.see("done again", |c| self.state(c, way.step).contains("(done")).await;
            }
        }
        assert_eq!(self.record(way).await, before, "`{}` had an effect twice", way.step);
        self.gone.push(way.step);
    }

    /// `/dr undo`, and what its answer says.
    async fn undone(&mut self, way: &'static Way) {
        let (now, calls) = (self.record(way).await, self.site.sent());
        let before = self.before.iter().find(|(s, _)| *s == way.step).map(|(_, b)| b.clone()).unwrap_or_default();
        let said = self.to("alice", "undo", way.step).await;
        let told = |words: &str| {
            assert!(said.contains("cannot be taken back") && said.contains(words), "undo {}: {said}", way.step);
        };
        if !matches!(way.undo, Back::Step(_)) {
            assert_eq!(self.record(way).await, now, "undo `{}` was refused, and acted", way.step);
            assert_eq!(self.site.sent(), calls, "undo `{}` was refused, and sent", way.step);
        }
        match &way.undo {
            Back::None(reason) => return told(reason),
            Back::ByHand(words, act) => {
                told(words);
                self.site.act(act).await;
                if matches!(act, super::entry::Act::Elsewhere) {
                    return;
                }
            }
            Back::Words(database, mark) => {
                told(mark);
                self.site.words(database, said.split(mark).nth(1).expect("the words")).await;
            }
            Back::Step(title) => {
                assert!(said.contains("Taking back"), "{said}");
                let wanted = |c: &str| c.contains(&format!("step: {title}")) && c.contains("Or type: /dr approve");
                let card = self.see(title, wanted).await;
                assert_eq!(self.record(way).await, now, "nobody agreed yet");
                self.agree(&approval(&card).expect("an approval")).await;
                self.see("taken back", |c| self.state(c, way.step).contains(", taken back)")).await;
            }
        }
        assert_eq!(self.site.record(&way.record).await, before, "`{}` taken back is not as before", way.step);
    }
}

/// The approval that a card asks for.
fn approval(card: &str) -> Option<String> {
    let id = card.split("Or type: /dr approve ").nth(1)?;
    Some(id.chars().take(12).collect())
}

/// Reads what a card asks for.
fn asked(card: &str, run: &Run<'_>) -> Option<Asks> {
    let last = run.play.until.map(|u| run.state(card, u)).unwrap_or_default();
    if last.contains("(done") || last.contains("(skipped") {
        return Some(Asks::Over(card.to_owned()));
    }
    if let (Some(id), Some(at)) = (approval(card), card.find(" step: ")) {
        let step = run.site.step(run.book.runbook, &card[at + " step: ".len()..])?;
        return Some(Asks::Approve(id, step));
    }
    if let Some(rest) = card.split("Or type: /dr done ").nth(1) {
        return Some(Asks::Done(rest.split_whitespace().next()?.to_owned()));
    }
    if let Some(rest) = card.split("Or type: /dr next 1 (").nth(1) {
        let line = format!("/dr next 1 ({}", rest.lines().next()?);
        let labels =
            line.split("/dr next ").skip(1).filter_map(|t| Some(t.split_once('(')?.1.rsplit_once(')')?.0.to_owned()));
        return Some(Asks::Choose(labels.collect()));
    }
    if card.contains("Recovered after") || card.contains("verification did not pass") {
        return Some(Asks::Over(card.to_owned()));
    }
    stopped(card)
}

/// Why the run is paused, as the card says.
fn stopped(card: &str) -> Option<Asks> {
    card.lines().find(|l| l.contains("Paused: ")).map(|l| Asks::Stopped(l.to_owned()))
}

/// Where something of the stage lies.
pub type Folders = Vec<(&'static str, PathBuf)>;
