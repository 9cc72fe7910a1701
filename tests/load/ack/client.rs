//! A lean HTTP/1.1 client. Takes ready requests, one list a connection; gives how many were answered
//! rightly and how long each answer took. One request is in flight per connection.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Requests sent before the clock runs.
pub const WARM_UP: Duration = Duration::from_secs(1);
/// No answer in this time is a failure.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection's work.
pub struct Line {
    pub requests: Vec<Vec<u8>>,
    /// What every answer must contain.
    pub expected: String,
}

/// What a load came to.
#[derive(Debug, Clone, Default)]
pub struct Shot {
    /// Requests answered per second.
    pub rate: f64,
    pub p50: Duration,
    pub p99: Duration,
    /// Peak resident memory of the server, in KiB.
    pub peak: u64,
    /// Processor time of the server per answer: what a busy machine changes least.
    pub cost: Duration,
    /// Answered per connection, warm-up included.
    pub acks: Vec<usize>,
}

impl Shot {
    /// Notes the processor time that the server used for all answers.
    pub fn used(&mut self, time: Duration) {
        let answers = u32::try_from(self.acks.iter().sum::<usize>()).unwrap_or(u32::MAX);
        self.cost = time / answers.max(1);
    }
}

impl std::fmt::Display for Shot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = self.peak as f64 / 1024.0;
        let (p50, p99, cost) = (self.p50, self.p99, self.cost);
        write!(f, "{:.0}/s, p50 {p50:.2?}, p99 {p99:.2?}, {cost:.1?} a request, peak {mib:.1} MiB", self.rate)
    }
}

/// Sends until `counted` has passed after the warm-up, or every request is sent.
///
/// # Errors
/// An answer was wrong or missing, unless `broken` allows that connections end early.
pub async fn load(port: u16, lines: Vec<Line>, counted: Duration, broken: bool) -> Result<Shot> {
    let mut tasks = JoinSet::new();
    let begin = Instant::now() + WARM_UP;
    for (at, line) in lines.into_iter().enumerate() {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("connecting")?;
        stream.set_nodelay(true)?;
        tasks.spawn(async move { (at, drive(stream, line, (begin, begin + counted)).await) });
    }
    let mut all = Vec::new();
    let mut shot = Shot { acks: vec![0; tasks.len()], ..Shot::default() };
    while let Some(done) = tasks.join_next().await {
        let (at, (acks, times, end)) = done?;
        shot.acks[at] = acks;
        all.extend(times);
        match end {
            Err(e) if !broken => return Err(e.context(format!("connection {at} after {acks} answers"))),
            _ => {}
        }
    }
    let last = all.iter().map(|(at, _)| *at).max().unwrap_or(begin);
    let mut times: Vec<Duration> = all.into_iter().map(|(_, took)| took).collect();
    times.sort_unstable();
    let part = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
    shot.rate = times.len() as f64 / last.duration_since(begin).as_secs_f64().max(0.001);
    (shot.p50, shot.p99) = (part(0.5), part(0.99));
    Ok(shot)
}

type Times = Vec<(Instant, Duration)>;

async fn drive(mut stream: TcpStream, line: Line, window: (Instant, Instant)) -> (usize, Times, Result<()>) {
    let (begin, end) = window;
    let (mut acks, mut times) = (0, Vec::with_capacity(line.requests.len()));
    let mut buffer = vec![0; 4096];
    for request in &line.requests {
        let start = Instant::now();
        if start >= end {
            break;
        }
        let answered = tokio::time::timeout(PATIENCE, exchange(&mut stream, request, &mut buffer, &line.expected));
        match answered.await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return (acks, times, Err(e)),
            Err(_) => return (acks, times, Err(anyhow::anyhow!("no answer in time"))),
        }
        acks += 1;
        let now = Instant::now();
        if start >= begin && now <= end {
            times.push((now, now - start));
        }
    }
    (acks, times, Ok(()))
}

/// Sends one request and reads its whole answer.
///
/// # Errors
/// The connection ended, the status is not 200, or the body does not contain `expected`.
pub async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut [u8], expected: &str) -> Result<()> {
    stream.write_all(request).await?;
    let mut have = 0;
    loop {
        let got = stream.read(&mut buffer[have..]).await?;
        if got == 0 {
            bail!("the connection ended");
        }
        have += got;
        let Some(head) = buffer[..have].windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head])?;
        let length: usize = text
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "))
            .context("an answer without a length")?
            .parse()?;
        if have < head + 4 + length {
            continue;
        }
        let body = std::str::from_utf8(&buffer[head + 4..have])?;
        if !text.starts_with("HTTP/1.1 200 ") || !body.contains(expected) {
            bail!("expected `{expected}`, got {text}\n{body}");
        }
        return Ok(());
    }
}
