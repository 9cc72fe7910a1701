//! drbot itself: the release binary as its own process, with its shipped settings, a store on the real
//! disk and a practice Slack that takes its posts.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use drbot::clock;
use drbot::model::event::Event;
use drbot::model::id::CaseId;
use drbot::persist::Store;
use drbot::practice::bot::{Bot, Wiring};
use drbot::practice::slack::{Practice, Setup};
use sqlx::{Connection, Row};
use tokio::net::TcpStream;

use crate::client::{self, Line, Shot};
use crate::requests::{CONNECTIONS, SECRET, TEAM, USER, channel, note, notes, slash};

/// Most requests of one connection in a measurement.
const MOST: usize = 4_000;
/// How long the load runs before the process is killed, beyond the warm-up.
const UNTIL_CRASH: Duration = Duration::from_secs(1);

/// One life of the bot, and its folder.
pub struct Life {
    bot: Bot,
    _slack: Practice,
    folder: PathBuf,
    port: u16,
    series: String,
    /// From the start of the process until it says that it is ready.
    pub ready: Duration,
    /// Resident memory a second after the start, in KiB.
    pub idle: u64,
    acks: Vec<(String, Vec<usize>)>,
}

/// What was found in the store after a kill during load.
#[derive(Debug)]
pub struct Crash {
    pub acks: usize,
    pub rows: usize,
    pub events: u64,
}

/// How large the commits were: rows per distinct time of commit.
#[derive(Debug, Clone, Copy)]
pub struct Commits {
    pub rows: usize,
    pub ready: Duration,
    pub idle: u64,
}

/// A figure of `/proc/PID/status`, in KiB.
///
/// # Errors
/// The process is gone.
pub fn peak(pid: u32, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|l| l.strip_prefix(name)).context("no such figure")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Processor time a process has used, user and system.
///
/// # Errors
/// The process is gone.
pub fn processor(pid: u32) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = text.rsplit(')').next().context("no such figure")?;
    let ticks: Vec<u64> = rest.split_whitespace().skip(11).take(2).filter_map(|t| t.parse().ok()).collect();
    // The kernel counts in hundredths of a second everywhere Linux runs today.
    Ok(Duration::from_millis(10 * ticks.iter().sum::<u64>()))
}

fn setup() -> Setup {
    let channels = (0..CONNECTIONS).map(|c| (channel(c), format!("incident-{c}"))).collect();
    Setup { channels, ..Setup::small(clock::now()) }
}

fn wiring(slack: &Practice, folder: &Path) -> Result<Wiring> {
    let setup = Setup::small(clock::now());
    Ok(Wiring {
        store: url(folder),
        slack_api: slack.api_base()?,
        response_host: "127.0.0.1".into(),
        team: TEAM.into(),
        signing_secret: SECRET.into(),
        bot_token: setup.token,
        people: vec![("alice".into(), "Alice".into(), vec!["responder".into()], USER.into())],
        targets: Vec::new(),
        runbooks: Path::new(env!("CARGO_MANIFEST_DIR")).join("commands"),
        parameters: Vec::new(),
        more_targets: Vec::new(),
        more: String::new(),
    })
}

fn url(folder: &Path) -> String {
    format!("sqlite://{}/drbot.db", folder.display())
}

/// A fresh folder beside the built programs, on the disk the store would use.
///
/// # Errors
/// It cannot be made.
pub fn fresh(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let release = program.parent().and_then(Path::parent).context("no folder of programs")?;
    let folder = release.join("ack").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

impl Life {
    /// Starts the bot and opens the incidents.
    ///
    /// # Errors
    /// It does not start, or refuses one.
    pub async fn start(round: usize) -> Result<Life> {
        let folder = fresh(&format!("round-{round}"))?;
        let slack = Practice::start(setup()).await?;
        let program = std::env::current_exe()?.with_file_name("").join("../drbot");
        let wiring = wiring(&slack, &folder)?;
        let before = Instant::now();
        let bot = Bot::start(&program, &folder, &wiring).await?;
        let ready = before.elapsed();
        let (commands, _) = bot.doors()?;
        let port = commands.port().context("no port")?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let idle = peak(bot.pid().context("the bot ended")?, "VmRSS:")?;
        let series = format!("r{round}");
        let life = Life { bot, _slack: slack, folder, port, series, ready, idle, acks: Vec::new() };
        life.declare().await?;
        Ok(life)
    }

    async fn declare(&self) -> Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let mut buffer = vec![0; 4096];
        for at in 0..CONNECTIONS {
            let request = slash(&channel(at), &format!("declare trouble number {at}"), &format!("declare{at}"))?;
            client::exchange(&mut stream, &request, &mut buffer, &format!("INC-{} is open", at + 1)).await?;
        }
        Ok(())
    }

    fn lines(&self, series: &str, count: usize) -> Result<Vec<Line>> {
        let line = |c| Ok(Line { requests: notes(series, c, count)?, expected: format!("Noted in INC-{}.", c + 1) });
        (0..CONNECTIONS).map(line).collect()
    }

    /// Loads it with notes.
    ///
    /// # Errors
    /// An answer is wrong.
    pub async fn measure(&mut self, counted: Duration) -> Result<Shot> {
        let series = format!("{}m", self.series);
        let most = MOST * usize::try_from(counted.as_secs() / 5 + 1)? / 2;
        let lines = self.lines(&series, most)?;
        let pid = self.bot.pid().context("the bot ended")?;
        let before = processor(pid)?;
        let mut shot = client::load(self.port, lines, counted, false).await?;
        shot.peak = peak(pid, "VmHWM:")?;
        shot.used(processor(pid)? - before);
        self.acks.push((series, shot.acks.clone()));
        Ok(shot)
    }

    /// Kills the process while requests are in flight and looks into the store it left.
    ///
    /// # Errors
    /// An acknowledged note is not there exactly once, or a chain is broken.
    pub async fn crash(&mut self) -> Result<Crash> {
        let series = format!("{}k", self.series);
        let lines = self.lines(&series, MOST)?;
        let load = tokio::spawn(client::load(self.port, lines, 60 * UNTIL_CRASH, true));
        tokio::time::sleep(client::WARM_UP + UNTIL_CRASH).await;
        self.bot.kill();
        let shot = load.await??;
        ensure!(shot.acks.iter().all(|a| *a > 0 && *a < MOST), "the kill did not meet requests in flight");
        self.acks.push((series, shot.acks));
        self.check().await
    }

    async fn check(&self) -> Result<Crash> {
        let store = Store::open(&url(&self.folder)).await?;
        let mut found = Crash { acks: 0, rows: 0, events: 0 };
        for at in 0..CONNECTIONS {
            let case = CaseId::incident(at as u64 + 1);
            found.events += store.check_chain(&case).await.context("a broken chain")?;
            let mut times = std::collections::HashMap::<String, usize>::new();
            for entry in store.history(&case, 0, u32::MAX).await? {
                if let Event::Noted { text, .. } = entry.event {
                    *times.entry(text).or_default() += 1;
                    found.rows += 1;
                }
            }
            for (series, acks) in &self.acks {
                for number in 0..acks[at] {
                    found.acks += 1;
                    match times.get(&note(series, at, number)) {
                        Some(1) => {}
                        other => bail!("acknowledged note {series} {at}/{number} is there {other:?} times"),
                    }
                }
            }
        }
        store.close().await;
        ensure!(found.rows >= found.acks, "{} rows for {} acknowledgements", found.rows, found.acks);
        Ok(found)
    }

    /// How large the commits of notes were, as far as their times tell.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn batch(&mut self) -> Result<Commits> {
        self.bot.kill();
        sqlx::any::install_default_drivers();
        let mut store = sqlx::AnyConnection::connect(&url(&self.folder)).await?;
        let sql = "SELECT COUNT(*), COUNT(DISTINCT at) FROM events WHERE kind = 'noted'";
        let row = sqlx::query(sql).fetch_one(&mut store).await?;
        let (rows, times): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        store.close().await?;
        Ok(Commits { rows: usize::try_from(rows / times.max(1))?.max(1), ready: self.ready, idle: self.idle })
    }
}
