//! The scenes. Takes the stage; plays one gesture after the other and claims what must be seen, in the
//! channel and in the database's log.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::card;
use super::log::{self, Ran};
use super::stage::{CHANNEL, LIMIT, LONGER_THAN, Stage, user};
use super::tally::Tally;
use crate::practice::slack::{Message, buttons, plain_text, private_text};
use crate::practice::trouble::{self, Jam, Session};

/// The role that changes things; nothing else may.
const OPERATOR: &str = "drbot_operator";
/// SQLSTATE of a cancelled statement and of a terminated session.
const CANCELLED: &str = "57014";
const TERMINATED: &str = "57P01";

/// Who is in trouble.
pub struct Trouble {
    pub long: Vec<Session>,
    pub jam: Jam,
}

impl Trouble {
    /// The sessions with long statements.
    pub fn long_pids(&self) -> Vec<i32> {
        self.long.iter().map(|s| s.pid).collect()
    }
}

/// What the operator's role ran so far, by the database's own log.
pub fn ran(stage: &Stage) -> Vec<Ran> {
    log::ran(&stage.database.log_text(), OPERATOR)
}

fn listed(ran: &[Ran]) -> String {
    if ran.is_empty() { "nothing".into() } else { ran.iter().map(|r| r.sql.clone()).collect::<Vec<_>>().join("\n--\n") }
}

/// Claims that the database ran nothing for the operator.
pub fn nothing_ran(stage: &Stage, tally: &mut Tally, name: &str) {
    let ran = ran(stage);
    tally.claim(name, ran.is_empty(), &format!("nothing by user={OPERATOR}"), &listed(&ran));
}

/// Types a command; gives the answer that only this person reads.
async fn say(stage: &Stage, tally: &Tally, name: &str, text: &str) -> Result<crate::practice::slack::Answer> {
    tally.note(&format!("{name} types: /dr {text}"));
    let answer = stage.slack.slash(&user(name), CHANNEL, text).await;
    ensure!(answer.status == 200, "/dr {text} was answered with {}: {}", answer.status, answer.body);
    Ok(answer)
}

/// The words of an answer.
fn words(body: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    value["text"].as_str().unwrap_or(body).to_owned()
}

/// 1. Trouble.
pub async fn trouble(stage: &Stage, tally: &mut Tally) -> Result<Trouble> {
    tally.scene("1. Trouble");
    tally.note(&format!(
        "Two statements of the booking application run and run; one of its sessions sits idle on a lock, and\n\
         three wait for it. Here a statement counts as long after {LONGER_THAN}, so that nobody has to wait; in\n\
         production the runbook says 5m."
    ));
    let long = trouble::long_statements(&stage.database, 2).await?;
    let jam = trouble::lock_jam(&stage.database, 3).await?;
    let all: Vec<i32> = long.iter().chain([&jam.holder]).chain(&jam.waiting).map(|s| s.pid).collect();
    let stuck = stage.long_in_trouble(&all).await?;
    tally.same("the database itself says that all six sessions are in trouble", "6", &stuck.to_string());
    Ok(Trouble { long, jam })
}

/// 2. Alice asks what is wrong.
pub async fn status(stage: &Stage, tally: &mut Tally, trouble: &Trouble) -> Result<()> {
    tally.scene("2. What is wrong?");
    say(stage, tally, "Alice", "status").await?;
    let card = stage.see(|t, _| t.contains("S8") && !t.contains("Checking")).await?;
    let text = plain_text(&card);
    tally.card("everybody reads:", &text);
    let figures = [
        "RED".to_owned(),
        format!("{} statements running longer than {LONGER_THAN}", trouble.long.len()),
        format!("{} sessions waiting for locks", trouble.jam.waiting.len()),
        "1 sessions idle in a transaction that holds locks".to_owned(),
    ];
    let figures: Vec<&str> = figures.iter().map(String::as_str).collect();
    tally.says("the status is red, with the figures that make it so", &text, &figures);
    Ok(())
}

/// 3. Alice declares, and the network delivers it twice.
pub async fn declare(stage: &Stage, tally: &mut Tally, sabotaged: bool) -> Result<()> {
    tally.scene("3. An incident, delivered twice");
    let first = say(stage, tally, "Alice", "declare database-performance").await?;
    tally.note(&format!("She reads: {}", words(&first.body)));
    if sabotaged {
        let gone = stage.tamper("DELETE FROM deliveries WHERE reply LIKE '%INC-1 is open%'").await?;
        tally.note("Sabotage: the stored answer to this delivery is deleted from the bot's store.");
        tally.same("the sabotage is done", "1 stored answer deleted", &format!("{gone} stored answer deleted"));
    }
    tally.note("The network delivers the very same request again.");
    let again = stage.slack.redeliver(&first.signed).await;
    let told = |a: &crate::practice::slack::Answer| format!("{} {}", a.status, words(&a.body));
    let same = (first.status, &first.body) == (again.status, &again.body);
    tally.claim("a repeat gets the stored answer", same, &told(&first), &told(&again));
    if sabotaged {
        tally.claim("the sabotage is noticed", !same, "another answer than the stored one", &told(&again));
        tally.note(
            "Sabotage seen: the store did not know the repeat, so it was decided anew; the incident was open already.",
        );
    }
    stage.see(|t, _| t.contains("INC-1") && t.contains("No runbook was started")).await?;
    let incidents = stage.stored("SELECT CAST(count(*) AS TEXT) FROM incidents").await?;
    tally.same("exactly one incident is open", "1", &incidents);
    Ok(())
}

/// 4. Alice starts the runbook; gives the card that asks for the first approval.
pub async fn run(stage: &Stage, tally: &mut Tally, trouble: &Trouble) -> Result<Message> {
    tally.scene("4. The runbook asks before it acts");
    say(stage, tally, "Alice", "run database-performance").await?;
    let card = stage.see(|t, m| t.contains("INC-1") && t.contains("pg_cancel_backend") && open(m)).await?;
    let text = plain_text(&card);
    tally.card("everybody reads:", &text);
    let statement = card::statement(&card);
    tally.says(
        "the card shows the exact statement with its bound rows",
        &statement,
        &["select a.pid, pg_cancel_backend(a.pid) as cancelled", "\n-- $1 (approved) = "],
    );
    let mut expected = trouble.long_pids();
    expected.sort_unstable();
    tally.same("it lists the two sessions, and no other", &format!("{expected:?}"), &format!("{:?}", pids(&card)));
    tally.says("it says how it is undone", &text, &["none: the client may send the statement again"]);
    tally.says("it says who may agree, and Alice is not among them", &text, &["responder (Bob or Carol)"]);
    Ok(card)
}

fn open(card: &Message) -> bool {
    buttons(card).iter().any(|b| b.label == "Approve")
}

/// The process ids in the rows of an approval card, sorted.
fn pids(card: &Message) -> Vec<i32> {
    let first = |row: &String| row.split_whitespace().next().and_then(|pid| pid.parse().ok());
    let mut pids: Vec<i32> = card::rows(card).iter().filter_map(first).collect();
    pids.sort_unstable();
    pids
}

/// Somebody whose work began after the list was made.
pub async fn bystander(stage: &Stage, tally: &Tally) -> Result<Session> {
    let session = trouble::busy_session(&stage.database).await?;
    tally.note(&format!("Meanwhile another session begins its work, {}: it is not on the list.", session.pid));
    Ok(session)
}

/// 5. Alice agrees with herself.
pub async fn own_click(stage: &Stage, tally: &mut Tally, card: &Message) -> Result<()> {
    tally.scene("5. Nobody approves their own step");
    tally.note("Alice presses [Approve].");
    stage.slack.click(&user("Alice"), CHANNEL, &card.ts, "Approve").await?;
    let fits = |t: &str| t.contains("You asked for this step yourself");
    let told = stage
        .slack
        .wait_private((CHANNEL, &user("Alice")), |p| fits(&private_text(p)), LIMIT)
        .await
        .map(|p| private_text(&p))?;
    tally.note(&format!("She alone reads: {told}"));
    tally.says("her own click is refused, with the reason", &told, &["somebody else must agree", "Bob or Carol"]);
    nothing_ran(stage, tally, "by the database's log the refused click ran nothing");
    Ok(())
}

/// 6a. Bob agrees to cancel.
pub async fn cancel(stage: &Stage, tally: &mut Tally, card: &Message, trouble: &mut Trouble) -> Result<()> {
    tally.scene("6. Bob approves");
    tally.note("Bob reads the card and presses [Approve].");
    stage.slack.click(&user("Bob"), CHANNEL, &card.ts, "Approve").await?;
    for session in &mut trouble.long {
        let ended = session.ended(LIMIT).await.unwrap_or_else(|| "still running".into());
        tally.same(&format!("session {} sees its statement cancelled", session.pid), CANCELLED, &ended);
    }
    ran_once(stage, tally, card, "pg_cancel_backend");
    let waiting: Vec<i32> = trouble.jam.waiting.iter().map(|s| s.pid).collect();
    let left = stage.busy(&waiting).await?;
    tally.same("the sessions that only wait were left alone", &waiting.len().to_string(), &left.to_string());
    Ok(())
}

/// 6b. The step after it: whoever still blocks others.
pub async fn terminate(stage: &Stage, tally: &mut Tally, first: &Message, trouble: &mut Trouble) -> Result<()> {
    let card = stage.see(|t, m| t.contains("INC-1") && t.contains("pg_terminate_backend") && open(m)).await?;
    tally.note("The next step asks anew: one session still blocks others.");
    tally.card("everybody reads, on the same card:", &plain_text(&card));
    tally.same("it is the same card", &first.ts, &card.ts);
    let holder = trouble.jam.holder.pid;
    tally.same("it lists the session that blocks, and no other", &format!("[{holder}]"), &format!("{:?}", pids(&card)));
    tally.note("Bob presses [Approve].");
    stage.slack.click(&user("Bob"), CHANNEL, &card.ts, "Approve").await?;
    for session in &mut trouble.jam.waiting {
        let ended = session.ended(LIMIT).await.unwrap_or_else(|| "still waiting".into());
        tally.same(&format!("session {} waits no more, and its change went through", session.pid), "00000", &ended);
    }
    let ended = trouble.jam.holder.ended(LIMIT).await.unwrap_or_else(|| "still there".into());
    tally.same(&format!("session {holder} sees itself terminated"), TERMINATED, &ended);
    ran_once(stage, tally, &card, "pg_terminate_backend");
    Ok(())
}

/// Claims that what the card showed is what ran, once, and that nothing else of the kind did.
fn ran_once(stage: &Stage, tally: &mut Tally, card: &Message, function: &str) {
    let ran: Vec<Ran> = ran(stage).into_iter().filter(|r| r.sql.contains(function)).collect();
    let times = ran.len();
    tally.claim(
        &format!("by the database's log {OPERATOR} ran {function} exactly once"),
        times == 1,
        "once",
        &format!("{times} times:\n{}", listed(&ran)),
    );
    let first = ran.into_iter().next();
    let sql = first.as_ref().map(|r| r.sql.clone()).unwrap_or_default();
    tally.same("what ran is, byte for byte, what the card showed", &card::sql(card), &sql);
    let bound = first.and_then(|r| r.values.into_iter().next().flatten()).unwrap_or_default();
    tally.same("the rows bound to it are exactly the rows the card showed", &shown_rows(card), &bound_rows(&bound));
}

/// What identifies each row on the card: its first three cells.
fn shown_rows(card: &Message) -> String {
    let cells =
        |row: &String| row.split("  ").map(str::trim).filter(|c| !c.is_empty()).take(3).collect::<Vec<_>>().join(" | ");
    card::rows(card).iter().map(cells).collect::<Vec<_>>().join("\n")
}

/// The same of the list that was bound.
fn bound_rows(json: &str) -> String {
    let list: Vec<serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    let cells = |row: &serde_json::Value| {
        ["pid", "backend_start", "query_start"].map(|c| row[c].as_str().unwrap_or("?").to_owned()).join(" | ")
    };
    list.iter().map(cells).collect::<Vec<_>>().join("\n")
}

/// 7. Proof.
pub async fn recovered(stage: &Stage, tally: &mut Tally, first: &Message, mut bystander: Session) -> Result<()> {
    tally.scene("7. Recovered, and proved");
    let card = stage.see(|t, _| t.contains("INC-1") && t.contains("Recovered after")).await?;
    let text = plain_text(&card);
    tally.card("everybody reads, on the same card:", &text);
    tally.same("the same card says so", &first.ts, &card.ts);
    tally.says(
        "with the clock, and the figures that prove it",
        &text,
        &["RTO", "Time to repair", "Verified: 0 statements"],
    );
    let left: Vec<String> = buttons(&card).into_iter().map(|b| b.label).collect();
    tally.claim("no buttons are left", left.is_empty(), "none", &left.join(", "));
    let ended = bystander.ended(Duration::ZERO).await;
    let there = stage.count("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1)", &[bystander.pid]).await?;
    tally.claim(
        &format!("session {}, which was not on the list, worked on undisturbed", bystander.pid),
        ended.is_none() && there == 1,
        "its session is there and none of its statements failed",
        &format!("{there} such session, ended with {ended:?}"),
    );
    Ok(())
}

/// What must hold after every story.
pub async fn afterwards(stage: &Stage, tally: &mut Tally) -> Result<()> {
    tally.scene("Afterwards");
    let cards = stage.cards();
    let titles: Vec<String> = cards.iter().map(plain_text).collect();
    tally.claim("the channel holds exactly one card of the incident", cards.len() == 1, "one", &titles.join("\n---\n"));
    let objections = stage.slack.violations();
    tally.claim("Slack had nothing to object to", objections.is_empty(), "nothing", &objections.join("\n"));
    let log = stage.bot.log();
    tally.claim("the bot did not panic", !log.contains("panicked"), "no panic in its log", &log);
    Ok(())
}
