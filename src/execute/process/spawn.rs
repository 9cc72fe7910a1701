//! Starting. Takes a pipeline that was looked over; gives its programs running in one group of their
//! own with nothing of our environment, or the certainty that none of them ran.

use std::io::pipe;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, ChildStdin};

use super::{Mark, Tree};
use crate::model::process::{Pipeline, Program};

pub(super) type Output = Receiver;

/// Where programs look for other programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// In the environment of every process of an execution: its name, and what tells this pipeline from others.
pub(super) const MARK: &str = "DRBOT_EXECUTION";

/// A running pipeline. Fields drop in order: the tree is ended before the programs are let go.
pub(super) struct Started {
    pub tree: Tree,
    pub children: Vec<Child>,
    pub output: Output,
    pub stdin: Option<ChildStdin>,
}

/// Why a pipeline does not run: nothing of it did, or only programs that got no input.
pub(super) enum Unable {
    Nothing(String),
    Partly(String),
}

/// Looks a pipeline over before anything runs.
pub(super) fn fit(execution: &str, pipeline: &Pipeline) -> Result<(), String> {
    let named = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if execution.is_empty() || execution.len() > 128 || execution.starts_with('.') || !execution.chars().all(named) {
        return Err("the execution's id is not a plain name".to_owned());
    }
    if pipeline.programs.is_empty() {
        return Err("there is no program to run".to_owned());
    }
    for (name, value) in &pipeline.env {
        let shown = name.escape_debug();
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(format!("`{shown}` cannot be put into an environment"));
        }
        if matches!(name.as_str(), "PATH" | "LANG" | MARK) || name.starts_with("LD_") {
            return Err(format!("`{shown}` may not be set for a program"));
        }
    }
    pipeline.programs.iter().try_for_each(runnable)
}

fn runnable(program: &Program) -> Result<(), String> {
    let path = program.path.escape_debug();
    if !program.path.starts_with('/') || program.path.contains('\0') {
        return Err(format!("`{path}` is not an absolute path: write where the program is"));
    }
    if program.args.iter().any(|a| a.contains('\0')) {
        return Err(format!("an argument of `{path}` holds a zero byte, which no program can get"));
    }
    let found = std::fs::metadata(&program.path);
    let found = found.map_err(|e| format!("`{path}` cannot be run ({e}): install it or correct its path"))?;
    if !found.is_file() {
        return Err(format!("`{path}` is not a file: correct its path"));
    }
    if found.permissions().mode() & 0o111 == 0 {
        return Err(format!("`{path}` is not executable: chmod +x it"));
    }
    Ok(())
}

/// Starts the programs, the last one first: if one cannot be started, those that run have been given
/// no input yet.
pub(super) fn start(execution: &str, pipeline: &Pipeline) -> Result<Started, Unable> {
    let none = |e: std::io::Error| Unable::Nothing(format!("no pipe could be made: {e}"));
    let (reader, writer) = pipe().map_err(none)?;
    let output = Receiver::from_owned_fd(reader.into()).map_err(none)?;
    let mark = Mark::of(execution);
    let name = mark.name.clone();
    let mut tree = Tree::new(mark);
    let mut children: Vec<Child> = Vec::new();
    let mut into = Stdio::from(writer.try_clone().map_err(none)?);
    let mut stdin = None;
    for (i, program) in pipeline.programs.iter().enumerate().rev() {
        let mut command = command(program, &name, pipeline);
        let made = source(i, pipeline).and_then(|(from, next)| Ok((from, next, writer.try_clone()?)));
        let child = made.and_then(|(from, next, errors)| {
            command.stdin(from).stdout(std::mem::replace(&mut into, next)).stderr(errors);
            command.process_group(tree.group().unwrap_or(0));
            tokio::process::Command::from(command).kill_on_drop(true).spawn()
        });
        match child {
            Ok(mut child) => {
                tree.started(child.id());
                stdin = child.stdin.take();
                children.insert(0, child);
            }
            Err(e) => return Err(unable(program, &e, tree)),
        }
    }
    Ok(Started { tree, children, output, stdin })
}

/// What a program reads, and where the one before it writes.
fn source(i: usize, pipeline: &Pipeline) -> std::io::Result<(Stdio, Stdio)> {
    if i > 0 {
        let (reader, writer) = pipe()?;
        return Ok((reader.into(), writer.into()));
    }
    Ok((if pipeline.stdin.is_some() { Stdio::piped() } else { Stdio::null() }, Stdio::null()))
}

fn command(program: &Program, mark: &str, pipeline: &Pipeline) -> Command {
    let mut command = Command::new(&program.path);
    command.args(&program.args).env_clear().current_dir("/");
    command.envs(pipeline.env.iter().map(|(name, value)| (name, value)));
    command.env("PATH", PATH).env("LANG", "C.UTF-8").env(MARK, mark);
    command
}

/// A program that the system would not start. If others run already, they are ended, and what they did
/// without input is not known.
fn unable(program: &Program, e: &std::io::Error, tree: Tree) -> Unable {
    let why = format!("`{}` could not be started: {e}", program.path.escape_debug());
    if tree.group().is_none() {
        return Unable::Nothing(why);
    }
    drop(tree);
    Unable::Partly(format!("{why}; the programs after it ran without input and were ended"))
}
