//! The stories that must go another way. Takes the stage at the moment before the second person agrees;
//! breaks one thing, plays on, and claims the refusal that follows.

use anyhow::Result;

use super::Sabotage;
use super::act::{self, Trouble};
use super::stage::{CHANNEL, Stage, user};
use super::tally::Tally;
use crate::practice::scratch::Stop;
use crate::practice::slack::{Message, buttons, plain_text};

const VOID: &str = "what would run is not what was approved";

/// Changes the statement between approval and start, at exactly that moment: as its effect is stored.
/// What it did is written down, so that the story can tell a sabotage from none.
const CHANGE: &str = "
CREATE TABLE sabotage (key TEXT NOT NULL, act TEXT NOT NULL);
CREATE TRIGGER sabotage AFTER INSERT ON effects
WHEN NEW.key LIKE 'start/%' AND NEW.act LIKE '%pg_cancel_backend%'
BEGIN
    UPDATE effects SET act = replace(act, 'pg_cancel_backend', 'pg_terminate_backend') WHERE key = NEW.key;
    INSERT INTO sabotage SELECT key, act FROM effects WHERE key = NEW.key;
END";

/// One line for the audience.
#[must_use]
pub fn described(sabotage: Sabotage) -> &'static str {
    match sabotage {
        Sabotage::Dedupe => "dedupe. The stored answer of a delivery is lost before its repeat; a claim must fail.",
        Sabotage::Statement => "statement. The approved statement is changed before it starts; it must be refused.",
        Sabotage::Database => "database. PostgreSQL is stopped before Bob agrees; nothing may be done or be unknown.",
    }
}

/// 6. Bob agrees, and somebody changes the statement in the store.
pub async fn statement(stage: &Stage, tally: &mut Tally, first: &Message, trouble: &Trouble) -> Result<()> {
    tally.scene("6. Bob approves, and the statement is changed behind his back");
    stage.tamper(CHANGE).await?;
    tally.note("Sabotage: in the bot's store pg_cancel_backend becomes pg_terminate_backend once it is approved.");
    tally.note("Bob reads the card and presses [Approve].");
    stage.slack.click(&user("Bob"), CHANNEL, &first.ts, "Approve").await?;
    let over = |t: &str| t.contains("INC-1") && (t.contains("Next: Paused") || t.contains("Recovered after"));
    let card = stage
        .see(|t, m| {
            m.ts == first.ts && (over(t) || t.contains("Exactly this runs") && t.contains("pg_terminate_backend"))
        })
        .await?;
    let text = plain_text(&card);
    tally.card("everybody reads, on the same card:", &text);
    let changed = stage.stored("SELECT coalesce(group_concat(act, ';'), '') FROM sabotage").await?;
    tally.says("the sabotage is done: the stored statement was changed", &changed, &["pg_terminate_backend"]);
    tally.says("the approval is void, and the card says why", &text, &[VOID, "(not done)"]);
    tally.says("the run is paused, and the card says how to go on", &text, &["Next: Paused", "/dr next tries again"]);
    no_buttons(tally, &card);
    act::nothing_ran(stage, tally, "by the database's log nothing ran");
    let pids = trouble.long_pids();
    let busy = stage.busy(&pids).await?;
    tally.same("the sessions still run", &pids.len().to_string(), &busy.to_string());
    tally.refused(&format!("{VOID}; nothing ran."));
    Ok(())
}

/// 6. The database is gone when Bob agrees.
pub async fn database(stage: &Stage, tally: &mut Tally, first: &Message) -> Result<()> {
    tally.scene("6. The database stops, and Bob approves");
    stage.database.stop(Stop::Fast).await?;
    tally.note("Sabotage: PostgreSQL is stopped.");
    tally.note("Bob reads the card and presses [Approve].");
    stage.slack.click(&user("Bob"), CHANNEL, &first.ts, "Approve").await?;
    let card = stage.see(|t, m| m.ts == first.ts && (t.contains("Next: Paused") || t.contains("UNKNOWN"))).await?;
    let text = plain_text(&card);
    tally.card("everybody reads, on the same card:", &text);
    tally.says("the step is not done, and the card says why", &text, &["(not done)", "could not connect to main-db"]);
    tally.claim("nothing is unknown", !text.contains("UNKNOWN") && !text.contains('❓'), "no unknown step", &text);
    tally.says("the run is paused, and the card says how to go on", &text, &["Next: Paused", "/dr next tries again"]);
    no_buttons(tally, &card);
    act::nothing_ran(stage, tally, "by the database's log nothing ran");
    let old: Vec<String> = stage.slack.messages(CHANNEL).into_iter().map(|m| m.ts).collect();
    tally.note("Alice types: /dr status");
    stage.slack.slash(&user("Alice"), CHANNEL, "status").await;
    let status = |t: &str, m: &Message| !old.contains(&m.ts) && t.contains("S8") && !t.contains("Checking");
    let text = plain_text(&stage.see(status).await?);
    tally.card("everybody reads:", &text);
    tally.says(
        "the status says that it could not check",
        &text,
        &["S8 Database performance degradation could not check"],
    );
    tally.claim("and never green", !text.contains("green") && !text.contains('🟢'), "no green", &text);
    tally.refused("the step was not done because the database could not be reached; nothing is unknown.");
    Ok(())
}

fn no_buttons(tally: &mut Tally, card: &Message) {
    let left: Vec<String> = buttons(card).into_iter().map(|b| b.label).collect();
    tally.claim("no buttons are left", left.is_empty(), "none", &left.join(", "));
}
