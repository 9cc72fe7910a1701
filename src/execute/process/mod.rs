//! Programs on this machine. Takes a pipeline; gives how every program in it ended and what it wrote.
//! There is no shell: arguments reach the program byte for byte. The end is learned by waiting for the
//! programs, never by the end of their output, and whatever they leave behind is ended too.

mod capture;
mod keep;
mod spawn;
mod tree;

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getpid, getrlimit, set_child_subreaper, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::capture::Capture;
use self::keep::Keep;
use self::spawn::{Started, Unable};
use self::tree::{Mark, Tree};
use crate::model::process::{Exit, Pipeline, ProcessEnd};
use crate::model::time::Span;

/// How long output is still read when all programs have ended: enough for what stands in the pipe.
const LINGER: Duration = Duration::from_secs(1);
/// How long a killed program may take to be gone; longer means that the kernel holds it.
const DEATH: Duration = Duration::from_secs(5);

/// What hides secrets in everything that is kept.
#[derive(Clone, Copy)]
pub struct Gate<'a> {
    pub redact: &'a (dyn Fn(&str) -> String + Send + Sync),
    /// Bytes of the longest thing that `redact` can find.
    pub overlap: usize,
}

/// A pipeline to run now.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// Names the file and marks the processes; unique, made of letters, digits, `-`, `_` and `.`.
    pub execution: &'a str,
    pub pipeline: &'a Pipeline,
    /// Where the output is kept.
    pub folder: &'a Path,
    /// Between asking the programs to end and ending them.
    pub grace: Span,
    pub gate: Gate<'a>,
}

/// Makes this process the parent of whatever its programs leave behind, and keeps memory of it and
/// of them from being written to disk in a crash. Done once, at the first run at the latest.
///
/// # Errors
/// Says what the system refused.
pub fn adopt() -> Result<(), String> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        let core = Rlimit { current: Some(0), maximum: getrlimit(Resource::Core).maximum };
        setrlimit(Resource::Core, core).map_err(|e| format!("core dumps could not be turned off: {e}"))?;
        set_child_subreaper(Some(getpid())).map_err(|e| format!("stray processes could not be adopted: {e}"))
    });
    done.clone()
}

/// Runs a pipeline to its end. If the returned future is dropped, everything is killed at once.
pub async fn run(order: Order<'_>) -> ProcessEnd {
    if let Err(why) = adopt().and_then(|()| spawn::fit(order.execution, order.pipeline)) {
        return ProcessEnd::NotStarted { why };
    }
    let until = Instant::now() + order.pipeline.timeout.std();
    let mut started = match spawn::start(order.execution, order.pipeline) {
        Ok(started) => started,
        Err(Unable::Nothing(why)) => return ProcessEnd::NotStarted { why },
        Err(Unable::Partly(why)) => return ProcessEnd::Lost { why },
    };
    let keep = Keep::open(order.folder, order.execution).await;
    let mut capture = Capture::new(order.gate, keep);
    let (quiet, ended) = watch::channel(());
    let input = started.stdin.take();
    let Started { children, tree, output, .. } = &mut started;
    let (end, (), ()) = tokio::join!(
        supervise(children, tree, (until, order.grace.std()), quiet),
        capture.drain(output, over(ended.clone(), LINGER)),
        feed(input, order.pipeline.stdin.as_deref(), ended),
    );
    let mut ran = capture.finish().await;
    let (exits, late) = match end {
        Ok(end) => end,
        Err(why) => return ProcessEnd::Lost { why },
    };
    ran.exits = exits;
    ran.strays = started.tree.strays();
    if late { ProcessEnd::TimedOut(ran) } else { ProcessEnd::Exited(ran) }
}

/// Waits for the programs and ends what is left of them; says how each ended and whether it was late.
/// Dropping `quiet` tells the reader that nobody is left to write.
async fn supervise(
    children: &mut [Child],
    tree: &mut Tree,
    (until, grace): (Instant, Duration),
    quiet: watch::Sender<()>,
) -> Result<(Vec<Exit>, bool), String> {
    let waited = timeout_at(until, all(children)).await;
    let late = waited.is_err();
    let exits = match waited {
        Ok(exits) => exits,
        Err(_) => {
            // While they live it can be seen who descends from them.
            tree.look().await?;
            tree.ask();
            match timeout(grace, all(children)).await {
                Ok(exits) => exits,
                Err(_) => {
                    tree.end().await?;
                    let gone = timeout(DEATH, all(children)).await;
                    gone.map_err(|_| "a program does not end even when killed: look at the machine".to_owned())?
                }
            }
        }
    };
    tree.end().await?;
    drop(quiet);
    Ok((exits?, late))
}

/// How each program ended, in their order.
async fn all(children: &mut [Child]) -> Result<Vec<Exit>, String> {
    use std::os::unix::process::ExitStatusExt;
    let mut exits = Vec::new();
    for child in children {
        let status = child.wait().await.map_err(|e| format!("how a program ended could not be learned: {e}"))?;
        exits.push(Exit { code: status.code(), signal: status.signal() });
    }
    Ok(exits)
}

/// What ends when nobody is left to write, `after` that.
async fn over(mut ended: watch::Receiver<()>, after: Duration) {
    // Nothing is ever sent: the sender goes away.
    drop(ended.changed().await);
    sleep(after).await;
}

/// Gives the first program its input and closes it. A program that does not want it is no fault.
async fn feed(stdin: Option<ChildStdin>, text: Option<&str>, ended: watch::Receiver<()>) {
    let (Some(mut stdin), Some(text)) = (stdin, text) else { return };
    tokio::select! {
        _ = stdin.write_all(text.as_bytes()) => {}
        () = over(ended, Duration::ZERO) => {}
    }
}
