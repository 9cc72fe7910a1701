//! Questions and jobs made of programs. Takes a pipeline that names programs as its target declares them;
//! gives verdicts, rows of output and ends. Only declared programs run, with only the declared environment.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Seen;
use super::process::{self, Gate, Order};
use super::sql::figure;
use crate::model::approval::TargetIdentity;
use crate::model::effect::{Job, Question};
use crate::model::expect::{Expect, Rows};
use crate::model::outcome::Ended;
use crate::model::process::{Pipeline, ProcessEnd, Ran};
use crate::model::runbook::EffectClass;
use crate::model::time::Span;

/// Between asking programs to end and ending them.
const GRACE: Span = Span::seconds(3);
/// Most characters of the line with which a failed program ended.
const SAID: usize = 160;
/// Lines of output that a step keeps as rows; all of it is in the file.
const LINES: usize = 60;

/// One declared set of programs.
#[derive(Clone, Default)]
pub struct ProgramTarget {
    /// Name in runbooks to absolute path.
    pub programs: BTreeMap<String, String>,
    /// What they see; the values may be secrets.
    pub env: Vec<(String, String)>,
}

impl fmt::Debug for ProgramTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramTarget").field("programs", &self.programs).finish_non_exhaustive()
    }
}

/// Hides secrets in output, and how long the longest thing is that it can find, in bytes.
pub struct Hide {
    pub redact: Box<dyn Fn(&str) -> String + Send + Sync>,
    pub overlap: usize,
}

/// All program targets of an installation.
pub struct Programs {
    targets: BTreeMap<String, ProgramTarget>,
    /// Where output is kept in full.
    folder: PathBuf,
    hide: Hide,
    asked: AtomicU64,
}

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Programs").field("targets", &self.targets).field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Programs {
    /// Knows the targets by name; runs nothing yet.
    #[must_use]
    pub fn new(targets: BTreeMap<String, ProgramTarget>, folder: PathBuf, hide: Hide) -> Programs {
        Programs { targets, folder, hide, asked: AtomicU64::new(0) }
    }

    /// Which programs a target is, by their files, if it is one of ours.
    #[must_use]
    pub fn identity(&self, target: &str) -> Option<TargetIdentity> {
        let found = self.targets.get(target)?;
        let files: Vec<&str> = found.programs.values().map(String::as_str).collect();
        let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
        Some(TargetIdentity { system: files.join(", "), database: String::new(), server: host.trim().to_owned() })
    }

    pub(super) async fn check(&self, q: &Question, pipeline: &Pipeline) -> Seen {
        match self.read(&q.target, &q.id, pipeline).await {
            Err(why) => Seen::Dark(why),
            Ok(ran) => {
                let mut q = q.clone();
                q.values.insert("exit".into(), codes(&ran));
                q.values.insert("line".into(), ran.head.lines().next().unwrap_or_default().to_owned());
                let rows = lines(&ran, &pipeline.columns);
                let shown = figure(&q, &rows);
                Seen::Judged(holds(&q.expect, &ran, &rows), shown)
            }
        }
    }

    pub(super) async fn rows(&self, q: &Question, pipeline: &Pipeline) -> Result<Rows, String> {
        let ran = self.read(&q.target, &q.id, pipeline).await?;
        if ran.good() { Ok(lines(&ran, &pipeline.columns)) } else { Err(format!("{}{}", ran.why(), last(&ran))) }
    }

    /// Runs something that only reads, under a name of its own.
    async fn read(&self, target: &str, id: &str, pipeline: &Pipeline) -> Result<Ran, String> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let plain: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(60).collect();
        let end = self.end(target, &format!("check-{plain}-{}-{number}", std::process::id()), pipeline).await?;
        match end {
            ProcessEnd::Exited(ran) => {
                // A check leaves no file behind: only what a step wrote is evidence.
                if let Some(file) = &ran.file {
                    drop(tokio::fs::remove_file(file).await);
                }
                Ok(ran)
            }
            ProcessEnd::TimedOut(_) => Err(format!("not done within {}", pipeline.timeout.human())),
            ProcessEnd::NotStarted { why } | ProcessEnd::Lost { why } => Err(why),
        }
    }

    pub(super) async fn run(&self, job: &Job, pipeline: &Pipeline) -> Ended {
        let end = match self.end(&job.target, &job.execution, pipeline).await {
            Ok(end) => end,
            Err(why) => return Ended::NotStarted { why },
        };
        match end {
            ProcessEnd::NotStarted { why } => Ended::NotStarted { why },
            ProcessEnd::Lost { why } => doubt(job, why),
            ProcessEnd::TimedOut(ran) => {
                doubt(job, format!("not done within {}; it was ended{}", pipeline.timeout.human(), kept(&ran)))
            }
            ProcessEnd::Exited(ran) => {
                let rows = lines(&ran, &pipeline.columns);
                match holds(&job.expect, &ran, &rows) {
                    Ok(true) => Ended::Done { rows: with_note(rows, &ran) },
                    Ok(false) if !ran.good() => {
                        let last = if job.sensitive.is_empty() { last(&ran) } else { String::new() };
                        doubt(job, format!("{}{last}{}", ran.why(), kept(&ran)))
                    }
                    Ok(false) => doubt(job, format!("its output is not as expected{}", kept(&ran))),
                    Err(why) => doubt(job, format!("{why}{}", kept(&ran))),
                }
            }
        }
    }

    async fn end(&self, target: &str, execution: &str, pipeline: &Pipeline) -> Result<ProcessEnd, String> {
        let found = self.targets.get(target).ok_or_else(|| format!("target {target} is not configured"))?;
        let mut pipeline = pipeline.clone();
        for program in &mut pipeline.programs {
            let path = found.programs.get(&program.path);
            let path =
                path.ok_or_else(|| format!("target {target} does not declare the program `{}`", program.path))?;
            program.path.clone_from(path);
        }
        pipeline.env.clone_from(&found.env);
        tokio::fs::create_dir_all(&self.folder)
            .await
            .map_err(|e| format!("the folder for output cannot be made: {}: {e}", self.folder.display()))?;
        let gate = Gate { redact: &*self.hide.redact, overlap: self.hide.overlap };
        let order = Order { execution, pipeline: &pipeline, folder: &self.folder, grace: GRACE, gate };
        Ok(process::run(order).await)
    }
}

/// Without an expectation every program must end with 0.
fn holds(expect: &Expect, ran: &Ran, rows: &Rows) -> Result<bool, String> {
    let exits = match (&expect.exit, ran.exits.as_slice()) {
        (Some(codes), [before @ .., last]) => {
            before.iter().all(|e| e.good()) && last.code.is_some_and(|c| codes.contains(&c))
        }
        _ => ran.good(),
    };
    if !exits || expect.rows.is_none() && expect.value.is_none() {
        return Ok(exits);
    }
    expect.holds(rows)
}

fn codes(ran: &Ran) -> String {
    let code = |c: &crate::model::process::Exit| c.code.map_or("killed".to_owned(), |c| c.to_string());
    ran.exits.iter().map(code).collect::<Vec<_>>().join(", ")
}

/// The first lines of the output as rows. What a line lacks is NULL; what it has too much stays in its last part.
fn lines(ran: &Ran, columns: &[String]) -> Rows {
    let names = if columns.is_empty() { vec!["line".to_owned()] } else { columns.to_vec() };
    let parts = |line: &str| match names.len() {
        1 => vec![Some(line.to_owned())],
        n => {
            let mut cells: Vec<_> = line.splitn(n, '\t').map(|part| Some(part.to_owned())).collect();
            cells.resize(n, None);
            cells
        }
    };
    let rows: Vec<_> = ran.head.lines().take(LINES).map(parts).collect();
    let beyond = ran.lines.saturating_sub(rows.len() as u64);
    Rows { columns: names, rows, beyond }
}

/// The last line written: programs say there why they ended.
fn last(ran: &Ran) -> String {
    let line = ran.last().lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default();
    let cut: String = line.trim().chars().take(SAID).collect();
    if cut.is_empty() { cut } else { format!(" ({cut})") }
}

fn with_note(mut rows: Rows, ran: &Ran) -> Rows {
    if ran.bytes > 0 {
        let note = kept(ran).trim_start_matches("; ").to_owned();
        let mut cells = vec![Some(format!("({note})"))];
        cells.resize(rows.columns.len(), None);
        rows.rows.push(cells);
    }
    rows
}

/// Where the whole output is, and what else people should know.
fn kept(ran: &Ran) -> String {
    let mut text = format!("; {} bytes of output", ran.bytes);
    if let Some(file) = &ran.file {
        text.push_str(&format!(", kept in {file}"));
    }
    if ran.not_kept > 0 {
        text.push_str(&format!(" without {} bytes of its middle", ran.not_kept));
    }
    if let Some(fault) = &ran.file_fault {
        text.push_str(&format!("; {fault}"));
    }
    if ran.strays > 0 {
        text.push_str(&format!("; {} processes it left behind were ended", ran.strays));
    }
    text
}

/// What can be done again may simply be asked for again; the rest must be looked at by people.
fn doubt(job: &Job, why: String) -> Ended {
    match job.effect {
        EffectClass::Observe | EffectClass::Idempotent => Ended::Failed { why },
        EffectClass::Once | EffectClass::Atomic => Ended::Unknown { why },
    }
}
