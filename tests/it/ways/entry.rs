//! What an entry of the table says about one changing step: where its effect is recorded, how its target refuses,
//! what a second run finds, and how it is taken back. Plain data; `walk` carries it out.

use crate::vendors::Books;

/// One shipped runbook: the runs that take every changing step of it four ways, one after the other in one bot.
pub struct Book {
    pub runbook: &'static str,
    pub plays: &'static [Play],
}

/// One run, the same run again, and its steps taken back.
pub struct Play {
    /// Parameters; `{name}` is filled by the stage.
    pub given: &'static str,
    /// What brings the trouble about.
    pub before: &'static [Act],
    /// The options that people choose, by label, in order.
    pub choose: &'static [&'static str],
    /// Looks that stop here, since the database is not as on the day; they are left out with a reason.
    pub passes: &'static [&'static str],
    /// What happens outside before a person reports that this step is done.
    pub people: &'static [(&'static str, Act)],
    /// The run is aborted once this step is done; otherwise it goes to its end.
    pub until: Option<&'static str>,
    pub ways: &'static [Way],
}

/// What most plays are like.
pub const PLAY: Play = Play { given: "", before: &[], choose: &[], passes: &[], people: &[], until: None, ways: &[] };

/// One changing step.
pub struct Way {
    pub step: &'static str,
    /// The target's own record of the effect.
    pub record: Record,
    /// What must not change either when the target refuses, and may stay after an undo: what was kept for it.
    pub kept: Option<Record>,
    /// Each is made, seen and ended before the step goes through.
    pub troubles: &'static [Trouble],
    /// What the world outside does once the step had its effect.
    pub after: Option<Act>,
    pub again: Again,
    pub undo: Back,
}

/// What most entries are like.
pub const WAY: Way = Way {
    step: "",
    record: Record::Sql("select 'nothing'"),
    kept: None,
    troubles: &[],
    after: None,
    again: Again::Nothing,
    undo: Back::None(""),
};

/// Where a target keeps what was done to it; read by somebody else than drbot.
pub enum Record {
    /// A fingerprint of these tables.
    Tables(&'static [&'static str]),
    /// One text, asked by the superuser.
    Sql(&'static str),
    /// The same in another database of the server.
    In(&'static str, &'static str),
    /// What the vendors keep.
    Vendors(fn(&Books) -> String),
    /// A fingerprint of a file in one of the stage's folders.
    File(&'static str, &'static str),
}

/// Something that happens outside.
pub enum Act {
    Sql(&'static str),
    In(&'static str, &'static str),
    /// A session of somebody else opens, says this and stays as it is until `Release`.
    Hold(&'static str),
    /// Those sessions roll back and end.
    Release,
    Vendors(fn(&mut Books)),
    /// A call by hand: method, path, key header, body. `{name}` is filled by the stage.
    Call(&'static str, &'static str, (&'static str, &'static str), &'static str),
    /// A file of one of the stage's folders gets another name.
    Move(&'static str, &'static str, &'static str),
    /// The object store holds these backups: key, age of the data in hours, bytes.
    Backups(&'static [(&'static str, i64, usize)]),
    /// The database server goes down and comes back, and then this.
    Restart(fn(&mut Books)),
    /// Nothing: the words name another run, which is a play of its own.
    Elsewhere,
}

/// How the target refuses, and how it stops refusing.
pub struct Trouble {
    pub on: Act,
    pub off: Act,
    /// What the card must say.
    pub told: &'static str,
    pub end: End,
}

/// How a refusal ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is certain that nothing remained: the run pauses at the step.
    Failed,
    /// Nobody knows; two people settle it.
    Unknown,
    /// Nobody knows; the probe says that it did not happen.
    Probed,
    /// It was done and the answer was lost; the probe finds it, and the run goes on. The last of its step.
    Happened,
    /// The file's `on_fail` leads on to a step that stops there; the run is aborted and made anew.
    Leads,
}

/// What the same run finds the second time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Nothing to do, and nobody is asked.
    Nothing,
    /// A new approval, which is denied: nothing happens without it.
    Asks,
    /// A new approval, which is given: the target knows the work and does nothing more.
    Same,
    /// The run stops before it, at a look that says why.
    Stops(&'static str),
}

/// What `/dr undo` does.
pub enum Back {
    /// It is refused with this reason, and nothing reaches the target.
    None(&'static str),
    /// It is refused with these words; done by hand as they say, all is as before.
    ByHand(&'static str, Act),
    /// The words behind this mark are the statement itself; it is run as it stands in this database.
    Words(&'static str, &'static str),
    /// A step of this title is previewed, approved, and brings all back as before.
    Step(&'static str),
}
