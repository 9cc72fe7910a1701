//! Who belongs to a pipeline. Takes its programs; finds all their descendants, also those that left
//! the group, the session, the parent or the environment, and ends them all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, getpid, getrlimit, kill_process_group, pidfd_open,
    pidfd_send_signal, prlimit, waitpid,
};

use super::spawn::MARK;

/// Looks until nobody is found; with the pause, about five seconds.
const LOOKS: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(5);
/// Looks in a row that must find nobody: a process may be born while we look.
const CLEAN: u32 = 2;

/// What marks the processes of one execution. Children inherit both; a limit that nothing here uses
/// (on message queues) stays even with a program that empties its environment.
pub(super) struct Mark {
    /// What stands in their environment.
    pub name: String,
    limit: u64,
}

impl Mark {
    /// A mark that no other pipeline on this machine has at the same time. The execution's name alone is not
    /// that: two installations both have an `inc-1.r1`, and a check is asked by several at once.
    pub fn of(execution: &str) -> Mark {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let most = getrlimit(Resource::Msgqueue).maximum.unwrap_or(1 << 20).max(2);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Mark { name: format!("{execution}~{}.{n}", me()), limit: n % (most - 1) + 1 }
    }
}

/// One line of the system's table of processes.
struct Entry {
    parent: i32,
    group: i32,
    dead: bool,
    /// Ticks since boot: with the number, it names a process for good.
    born: u64,
}

/// The processes of one pipeline. Dropping it kills them.
pub(super) struct Tree {
    mark: Mark,
    /// Started by us, and waited for elsewhere.
    direct: BTreeSet<i32>,
    group: Option<i32>,
    /// No process older than the first program is one of them.
    since: u64,
    known: BTreeMap<i32, u64>,
    ended: BTreeSet<(i32, u64)>,
    done: bool,
}

impl Tree {
    pub fn new(mark: Mark) -> Tree {
        let (direct, known, ended) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        Tree { mark, direct, group: None, since: 0, known, ended, done: false }
    }

    /// The group all programs are in, once there is one.
    pub fn group(&self) -> Option<i32> {
        self.group
    }

    /// Takes a program in. It has run for a moment already, less than it takes to load.
    pub fn started(&mut self, id: Option<u32>) {
        let Some(pid) = id.and_then(|id| i32::try_from(id).ok()) else { return };
        let born = entry(pid).map_or(0, |e| e.born);
        if self.group.is_none() {
            (self.group, self.since) = (Some(pid), born);
        }
        self.direct.insert(pid);
        self.known.insert(pid, born);
        let limit = Rlimit { current: Some(self.mark.limit), maximum: getrlimit(Resource::Msgqueue).maximum };
        // Only one of several ways to find its children: without it the others remain.
        let _ = prlimit(Pid::from_raw(pid), Resource::Msgqueue, limit);
    }

    /// How many were ended that were not programs of the pipeline.
    pub fn strays(&self) -> u64 {
        self.ended.iter().filter(|(pid, _)| !self.direct.contains(pid)).count() as u64
    }

    /// Remembers who belongs to it now.
    pub async fn look(&mut self) -> Result<(), String> {
        self.aside(|tree| {
            tree.members();
            Ok(())
        })
        .await
    }

    /// Asks the group to end.
    pub fn ask(&self) {
        if let Some(group) = self.group.and_then(Pid::from_raw) {
            // The only failure that matters is that nobody is there any more.
            let _ = kill_process_group(group, Signal::TERM);
        }
    }

    /// Kills everyone who belongs to it, until nobody is left.
    pub async fn end(&mut self) -> Result<(), String> {
        self.aside(Tree::sweep).await
    }

    /// Does something that reads the table, away from the threads that serve others.
    async fn aside(&mut self, work: fn(&mut Tree) -> Result<(), String>) -> Result<(), String> {
        let mut tree = std::mem::replace(self, Tree::new(Mark { name: String::new(), limit: 0 }));
        let (tree, result) = tokio::task::spawn_blocking(move || {
            let result = work(&mut tree);
            (tree, result)
        })
        .await
        .map_err(|e| format!("the processes could not be looked for: {e}"))?;
        *self = tree;
        result
    }

    fn sweep(&mut self) -> Result<(), String> {
        let mut clean = 0;
        for _ in 0..LOOKS {
            let alive = self.kill();
            clean = if alive == 0 { clean + 1 } else { 0 };
            if clean == CLEAN {
                self.done = true;
                return Ok(());
            }
            if alive > 0 {
                std::thread::sleep(PAUSE);
            }
        }
        Err("processes of the pipeline are left that could not be ended: look at the machine".to_owned())
    }

    /// One look: kills the living, reaps the dead that came to us, and counts both.
    fn kill(&mut self) -> usize {
        let mut left = 0;
        for (pid, found) in self.members() {
            match (found.dead, self.direct.contains(&pid)) {
                // Waited for where it was started.
                (true, true) => {}
                (true, false) => {
                    left += 1;
                    if found.parent == me() {
                        let _ = waitpid(Pid::from_raw(pid), WaitOptions::NOHANG);
                    }
                }
                (false, _) => {
                    left += 1;
                    self.ended.insert((pid, found.born));
                    end(pid, found.born);
                }
            }
        }
        left
    }

    /// Everyone who belongs to it now, remembered for the next look.
    fn members(&mut self) -> BTreeMap<i32, Entry> {
        if self.group.is_none() {
            return BTreeMap::new();
        }
        let mut table = table();
        table.retain(|pid, e| *pid != me() && *pid != 1 && e.born >= self.since);
        let mut found: BTreeSet<i32> =
            table.iter().filter(|(pid, e)| self.owns(**pid, e)).map(|(pid, _)| *pid).collect();
        // Children of members are members.
        loop {
            let more = table.iter().filter(|(pid, e)| found.contains(&e.parent) && !found.contains(*pid));
            let more: Vec<i32> = more.map(|(pid, _)| *pid).collect();
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        table.retain(|pid, _| found.contains(pid));
        self.known.extend(table.iter().map(|(pid, e)| (*pid, e.born)));
        table
    }

    fn owns(&self, pid: i32, e: &Entry) -> bool {
        self.known.get(&pid) == Some(&e.born)
            || Some(e.group) == self.group
            || self.named(pid)
            || (e.parent == me() && self.limited(pid))
    }

    fn named(&self, pid: i32) -> bool {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let wanted = format!("{MARK}={}", self.mark.name);
        environment.split(|b| *b == 0).any(|entry| entry == wanted.as_bytes())
    }

    /// Its limit is ours: only those that came to us are asked, as others may have such a limit too.
    fn limited(&self, pid: i32) -> bool {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
        let line = limits.lines().find_map(|l| l.strip_prefix("Max msgqueue size"));
        line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse().ok()) == Some(self.mark.limit)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if !self.done {
            // Whoever waits for the outcome is gone, so nobody can be told.
            drop(self.sweep());
        }
    }
}

fn me() -> i32 {
    getpid().as_raw_nonzero().get()
}

/// Kills exactly this process, not one that got its number since.
fn end(pid: i32, born: u64) {
    let Some(handle) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { return };
    if entry(pid).is_some_and(|e| e.born == born) {
        // It may have ended by itself, which the next look will see.
        let _ = pidfd_send_signal(handle, Signal::KILL);
    }
}

fn table() -> BTreeMap<i32, Entry> {
    let Ok(folder) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let numbers = folder.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter_map(|pid: i32| Some((pid, entry(pid)?))).collect()
}

/// A process as the system describes it; its name may hold anything, so what follows it is read.
fn entry(pid: i32) -> Option<Entry> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after = text.iter().rposition(|b| *b == b')')?;
    let rest = String::from_utf8_lossy(&text[after + 1..]).into_owned();
    let words: Vec<&str> = rest.split_whitespace().collect();
    Some(Entry {
        dead: matches!(*words.first()?, "Z" | "X"),
        parent: words.get(1)?.parse().ok()?,
        group: words.get(2)?.parse().ok()?,
        born: words.get(19)?.parse().ok()?,
    })
}
