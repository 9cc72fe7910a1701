//! One round: an approved step, a kill at a chosen point, a restart, and what everybody's record says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use drbot::practice::bot::Bot;
use drbot::practice::slack::{Fault, Message, Practice, buttons, plain_text};
use drbot::practice::trouble::{self, Session};
use sqlx::PgConnection;
use tokio::time::Instant;

use super::runbooks;
use super::target::{Slow, Target};
use super::wire::{self, Record};
use crate::support::{Folder, commands};
use crate::world::{CHANNEL, LIMIT, private, setup, user, wiring};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Atomic,
    /// A `once` step that can be asked about.
    Probed,
    /// A `once` step that cannot.
    Blind,
    /// The shipped runbook's step that cancels statements.
    Cancel,
}

impl Kind {
    pub(super) fn runbook(self) -> &'static str {
        match self {
            Kind::Atomic => "crash-atomic",
            Kind::Probed => "crash-probed",
            Kind::Blind => "crash-blind",
            Kind::Cancel => "database-performance",
        }
    }

    fn step(self) -> (&'static str, &'static str) {
        match self {
            Kind::Cancel => ("cancel-long-queries", "Cancel statements running longer than"),
            _ => ("change", "Change what was approved"),
        }
    }
}

/// When the bot is killed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Point {
    /// The click is on its way and cannot be committed.
    BeforeCommit,
    /// The click is committed and its answer was not read by anybody.
    BeforeAck,
    /// The click was answered.
    Acked,
    /// The intent to start is committed.
    Started,
    /// The intent is committed and the target is at work.
    AtWork(Slow),
    /// The outcome is committed and chat does not answer edits like this.
    BeforeCard(Fault),
}

/// What the card says about the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Done,
    NotDone,
    Unknown,
}

/// A line of the table.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) kind: Kind,
    pub(super) point: Point,
    pub(super) effects: i64,
    pub(super) word: Word,
    pub(super) cards: usize,
    /// From the restart until the card said it.
    pub(super) told: Duration,
    /// Effects once the run was carried to its end.
    pub(super) finally: i64,
}

pub(super) struct Rig<'a> {
    target: &'a Target,
    round: u32,
    kind: Kind,
    pub(super) slack: Practice,
    pub(super) bot: Bot,
    pub(super) record: Record,
    victim: Option<Session>,
    _folder: Folder,
}

impl<'a> Rig<'a> {
    pub(super) async fn start(target: &'a Target, kind: Kind, round: u32) -> Rig<'a> {
        let folder = Folder::new();
        let slack = Practice::start(setup()).await.expect("the practice Slack");
        let mut wiring = wiring(&slack, &folder, Some(&target.scratch));
        if kind == Kind::Cancel {
            wiring.runbooks = commands();
            wiring.parameters = vec![("database-performance".into(), "longer_than".into(), "1s".into())];
        } else {
            wiring.runbooks = runbook_folder(&folder.0);
            wiring.parameters = vec![];
        }
        let bot = Bot::start(Path::new(env!("CARGO_BIN_EXE_drbot")), &folder.0, &wiring).await.expect("the bot");
        let (commands, interactions) = bot.doors().expect("addresses");
        slack.bot_at(commands, interactions);
        let record = Record::of(&folder.0);
        Rig { target, round, kind, slack, bot, record, victim: None, _folder: folder }
    }

    pub(super) async fn say(&self, name: &str, text: &str) -> String {
        let answer = self.slack.slash(&user(name), CHANNEL, text).await;
        assert_eq!(answer.status, 200, "{text}: {}", answer.body);
        private(&answer.body)
    }

    /// The main card once it fits.
    pub(super) async fn card(&self, what: &str, fits: impl Fn(&Message, &str) -> bool) -> Message {
        let main = |m: &Message| m.thread_ts.is_none() && fits(m, &plain_text(m)) && plain_text(m).contains("INC-1 ");
        let found = self.slack.wait_message(CHANNEL, main, LIMIT).await;
        found.unwrap_or_else(|e| panic!("round {}: no {what}: {e:#}\nthe bot logged:\n{}", self.round, self.bot.log()))
    }

    /// Brings the run to its approval.
    async fn ask(&mut self) -> Message {
        if self.kind == Kind::Cancel {
            let victim = trouble::long_statements(&self.target.scratch, 1).await.expect("a statement").remove(0);
            let age = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND query_start < now() - interval '1.1s'",
                victim.pid
            );
            self.target.until("the statement is old enough", &age).await;
            self.victim = Some(victim);
        }
        let name = self.kind.runbook();
        assert!(self.say("alice", &format!("declare {name}")).await.starts_with("INC-1 is open"));
        let round = if self.kind == Kind::Cancel { String::new() } else { format!(" round={}", self.round) };
        let started = self.say("alice", &format!("run {name}{round}")).await;
        assert!(started.starts_with("Started in INC-1"), "{started}");
        self.card("approval", |m, t| t.contains("Exactly this runs") && !buttons(m).is_empty()).await
    }

    async fn approve(&self, card: &Message) {
        let answer = self.slack.click(&user("bob"), CHANNEL, &card.ts, "Approve").await.expect("the button");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Approves, and kills the bot at the point.
    async fn kill(&mut self, card: &Message, point: &Point) {
        let button = buttons(card).into_iter().find(|b| b.label == "Approve").expect("the button");
        let signed = wire::click(&self.slack, &user("bob"), &card.ts, &button);
        match point {
            Point::BeforeCommit => {
                let seized = self.record.seize().await;
                let _unread = wire::send(&self.bot, &signed).await;
                self.bot.kill();
                wire::let_go(seized).await;
                assert_eq!(self.record.events("granted").await.len(), 0, "nothing of it is stored");
            }
            Point::BeforeAck => {
                let _unread = wire::send(&self.bot, &signed).await;
                self.record.until("granted", "").await;
                self.bot.kill();
            }
            Point::Acked => {
                self.approve(card).await;
                self.bot.kill();
            }
            Point::Started => {
                self.approve(card).await;
                self.record.until("step_started", self.kind.step().0).await;
                self.bot.kill();
            }
            Point::AtWork(slow) => {
                let lock = self.lock(*slow).await;
                self.approve(card).await;
                let execution = self.started().await;
                self.target.stuck(&execution, *slow).await;
                self.bot.kill();
                drop(lock);
            }
            Point::BeforeCard(fault) => {
                self.slack.fault("chat.update", fault.clone());
                self.approve(card).await;
                self.record.until("step_ended", self.kind.step().0).await;
                self.bot.kill();
            }
        }
        self.target.slow(self.round, Slow::No).await;
        self.slack.heal();
        if matches!(point, Point::BeforeCommit | Point::BeforeAck) {
            self.bot.again().await.expect("the bot starts again");
            let before = self.record.events("granted").await.len();
            assert_eq!(before, usize::from(*point == Point::BeforeAck));
            for _ in 0..2 {
                assert_eq!(self.slack.redeliver(&signed).await.status, 200, "the sender's repeat is taken");
            }
            assert_eq!(self.record.events("granted").await.len(), 1, "and counts once");
            self.bot.kill();
        }
    }

    async fn lock(&self, slow: Slow) -> Option<PgConnection> {
        if slow != Slow::Locked {
            return None;
        }
        let scratch = &self.target.scratch;
        let url = scratch.superuser_url_of(drbot::practice::scratch::BOOKING);
        let mut conn = scratch.connect(&url).await.expect("a session");
        let sql = format!("BEGIN; SELECT * FROM crash_rows WHERE round = {} FOR UPDATE", self.round);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.expect("the lock");
        Some(conn)
    }

    async fn started(&self) -> String {
        let event = self.record.until("step_started", self.kind.step().0).await;
        event["execution"].as_str().expect("its name").to_owned()
    }

    /// How often the target says that it happened.
    async fn effects(&self) -> i64 {
        let round = self.round;
        match (self.kind, &self.victim) {
            (Kind::Cancel, Some(victim)) => {
                let line = format!("crash: cancelled {}", victim.pid);
                let log = self.target.scratch.log_text();
                i64::try_from(log.lines().filter(|l| l.ends_with(&line)).count()).expect("a number")
            }
            (Kind::Atomic, _) => {
                let rows = format!("FROM crash_rows WHERE round = {round}");
                let most = self.target.number(&format!("SELECT max(touched) {rows}")).await;
                let least = self.target.number(&format!("SELECT min(touched) {rows}")).await;
                assert_eq!(most, least, "round {round}: all rows or none");
                most
            }
            _ => self.target.number(&format!("SELECT count(*) FROM crash_effects WHERE round = {round}")).await,
        }
    }

    /// What the card says about the step; `None` while it says nothing final.
    fn word(&self, text: &str) -> Option<Word> {
        let line = &text[text.find(self.kind.step().1)?..];
        let said = &line[line.find('(')? + 1..];
        let starts = |w: &str| said.starts_with(w);
        match () {
            () if starts("done") => Some(Word::Done),
            () if starts("not done") => Some(Word::NotDone),
            () if starts("UNKNOWN") => Some(Word::Unknown),
            () if starts("checking the result") => None,
            () => None,
        }
    }

    /// Waits for what the card makes of it: first anything, then, where there is a probe, its answer.
    async fn settled(&self, restarted: Instant) -> (Word, Duration) {
        self.card("word about the step", |_, t| self.word(t).is_some()).await;
        let told = restarted.elapsed();
        let last = |t: &str| match self.word(t) {
            Some(Word::Unknown) => self.kind == Kind::Blind,
            other => other.is_some(),
        };
        let card = self.card("settled word", |_, t| last(t)).await;
        let text = plain_text(&card);
        let word = self.word(&text).expect("a word");
        if word == Word::Unknown {
            assert!(text.contains("/dr settle"), "who settles it is said: {text}");
        }
        (word, told)
    }

    /// Carries the run to its end from whatever the card says.
    async fn carry(&self, word: Word, happened: bool) {
        let step = self.kind.step().0;
        let mut again = word == Word::NotDone;
        if word == Word::Unknown {
            let claim = format!("settle {step} {}", if happened { "happened" } else { "not" });
            let first = self.say("alice", &claim).await;
            assert!(first.contains("second person"), "{first}");
            let alone = self.say("alice", &claim).await;
            assert!(alone.contains("second person"), "one person does not settle it twice: {alone}");
            assert!(self.say("bob", &claim).await.starts_with("Settled"));
            again = !happened;
        }
        if again {
            assert!(self.say("alice", "next").await.starts_with("Going on"));
            let card = self.card("new approval", |m, _| !buttons(m).is_empty()).await;
            self.approve(&card).await;
        }
        self.card("recovery", |m, t| t.contains("Recovered after") && buttons(m).is_empty()).await;
    }

    /// What the bot's store and the card say, for whoever reads a failure.
    async fn story(&self) -> String {
        let kinds = self.record.kinds().await;
        let cards: Vec<String> = self.slack.messages(CHANNEL).iter().map(plain_text).collect();
        format!("{}\n{}", kinds.join("\n"), cards.join("\n---\n"))
    }

    fn cards(&self) -> usize {
        let all = self.slack.messages(CHANNEL);
        let cards: Vec<String> = all
            .iter()
            .filter(|m| m.thread_ts.is_none() && m.bot.is_some())
            .map(plain_text)
            .filter(|t| t.contains("INC-1 "))
            .collect();
        let unlabelled = cards.iter().filter(|t| !t.contains("(repeat")).count();
        assert_eq!(unlabelled, 1, "round {}: one card, repeats are labelled: {cards:#?}", self.round);
        cards.len()
    }
}

fn runbook_folder(folder: &Path) -> PathBuf {
    let runbooks = folder.join("runbooks");
    std::fs::create_dir(&runbooks).expect("a folder");
    runbooks::write(&runbooks);
    runbooks
}

/// Plays one round and judges it by the target's record.
pub(super) async fn play(target: &Target, round: u32, kind: Kind, point: Point) -> Line {
    let slow = if let Point::AtWork(slow) = point { slow } else { Slow::No };
    target.prepare(round, slow).await;
    let mut rig = Rig::start(target, kind, round).await;
    let card = rig.ask().await;
    rig.kill(&card, &point).await;
    let restarted = Instant::now();
    rig.bot.again().await.expect("the bot starts again");
    let (word, told) = rig.settled(restarted).await;
    let effects = rig.effects().await;
    let place = format!("round {round} {kind:?} {point:?}: {}", rig.story().await);
    match word {
        Word::Done => assert_eq!(effects, 1, "{place}: claimed done"),
        Word::NotDone => assert_eq!(effects, 0, "{place}: claimed not done"),
        Word::Unknown => assert!(effects < 2, "{place}: done twice"),
    }
    assert!(told < Duration::from_secs(10), "{place}: told only after {told:?}");
    rig.carry(word, effects == 1).await;
    let finally = rig.effects().await;
    assert_eq!(finally, 1, "{place}: carried to its end, the effect is there once");
    let cards = rig.cards();
    assert_eq!(rig.slack.violations(), Vec::<String>::new(), "{place}");
    assert!(!rig.bot.log().contains("panicked"), "{place}: {}", rig.bot.log());
    Line { kind, point, effects, word, cards, told, finally }
}
