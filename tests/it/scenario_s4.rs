//! Data corruption through the running bot: what the page would have done (in a transaction that is rolled
//! back), and that the shipped runbook does not.

use std::process::Command;

use drbot::practice::scratch::Stop;
use drbot::practice::slack::plain_text;
use serde_json::{Value, json};

use crate::saas::{SAAS, Saas, rights};
use crate::vendors::supabase::TOKEN;
use crate::world::{CHANNEL, LIMIT};

pub const RUNBOOK: &str = "data-corruption";
pub const PROJECT: &str = "practiceprojectabcde";

/// One calendar with 25 bookings, one booking with a payment and one conversation with 7 messages vanish,
/// past the keys.
pub const DAMAGE: &str = "
insert into audit_trail (table_name, operation, old_data, performed_by, performed_at)
select 'calendars', 'DELETE', to_jsonb(c), id('user-9'), '2026-11-22 08:15:00+00' from calendars c where id = id('calendar-2');
set session_replication_role = replica;
delete from calendars where id = id('calendar-2');
delete from bookings where id = id('booking-5');
delete from whatsapp_conversations where id = id('conversation-2');";

/// A booking that never had a calendar, which is nothing to repair.
const WALK_IN: &str = "insert into bookings (id, customer_name, starts_at) values (id('walk-in'), 'Walk-in', now())";

/// A copy as an operator would load it beforehand.
pub const COPY: &str = "
insert into backup.calendars select * from calendars;
insert into backup.bookings select * from bookings;
insert into backup.whatsapp_conversations select * from whatsapp_conversations;";

const TOUCHED: [&str; 4] = ["bookings", "booking_payments", "whatsapp_messages", "calendars"];

/// The page's statements, to the letter.
const LITERAL_COUNT: &str =
    "SELECT COUNT(*)::text FROM bookings b WHERE NOT EXISTS (SELECT 1 FROM calendars c WHERE c.id = b.calendar_id)";
const LITERAL_DELETE: &str =
    "DELETE FROM bookings WHERE NOT EXISTS (SELECT 1 FROM calendars c WHERE c.id = calendar_id)";
const LITERAL_KEYS: &str = "
SELECT count(*)::text FROM information_schema.table_constraints AS tc
JOIN information_schema.key_column_usage AS kcu ON tc.constraint_name = kcu.constraint_name
JOIN information_schema.constraint_column_usage AS ccu ON ccu.constraint_name = tc.constraint_name
WHERE constraint_type = 'FOREIGN KEY' AND tc.table_schema = 'public'
  AND tc.table_name = 'bookings' AND ccu.table_name = 'whatsapp_conversations'";

pub async fn stage() -> Saas {
    let saas = Saas::start(RUNBOOK, &rights(RUNBOOK), |w, vendors| {
        w.more_targets.push(vendors.target("supabase", "management", ("Authorization", &format!("Bearer {TOKEN}"))));
        w.parameters.push((RUNBOOK.into(), "project".into(), PROJECT.into()));
    })
    .await;
    saas.vendors.with(|b| b.supabase.projects.insert(PROJECT.into(), "ACTIVE_HEALTHY".into()));
    saas
}

impl Saas {
    pub async fn fingerprints(&self) -> Vec<String> {
        let mut all = Vec::new();
        for table in TOUCHED {
            all.push(self.fingerprint(table).await);
        }
        all
    }

    async fn run(&self, given: &str) {
        let said = self.world.say("alice", &format!("run {RUNBOOK} {given}")).await;
        assert!(said.starts_with("Started"), "{said}");
    }

    /// Waits until the first incident's card says this.
    async fn card(&self, part: &str) -> String {
        self.see(|t| t.contains("INC-1 Data") && t.contains(part)).await
    }

    /// Waits until this many runs ended unproved.
    async fn unproved(&self, runs: usize) {
        let said = || -> usize {
            // In the history alone: the card says it as well, until the run goes on.
            let all = self.world.slack.messages(CHANNEL).into_iter().filter(|m| m.thread_ts.is_some());
            all.map(|m| plain_text(&m).matches("verification did not pass").count()).sum()
        };
        let seen = self.world.slack.wait(LIMIT, || (said() == runs).then_some(())).await;
        assert!(seen.is_some(), "{} runs ended unproved, not {runs}", said());
    }

    fn asked(&self, part: &str) -> usize {
        self.vendors.changes().iter().filter(|g| g.path.contains(part)).count()
    }
}

/// Points 1, 2, 3 and 5: the page's questions mislead, ours do not; and a run without a choice only looks.
#[tokio::test]
async fn s4_1_2_3_5_looking_tells_what_is_so() {
    let saas = stage().await;
    saas.sql(DAMAGE).await;
    saas.sql(WALK_IN).await;
    saas.sql(
        "alter table bookings rename constraint bookings_calendar_id_fkey to parent_fk;
         alter table whatsapp_messages rename constraint whatsapp_messages_conversation_id_fkey to parent_fk;
         alter table webhook_events add constraint loose_fk foreign key (calendar_id) references calendars not valid;",
    )
    .await;
    let before = saas.fingerprints().await;
    assert_ne!(saas.ask(LITERAL_KEYS).await, "0", "s4_1: the page pairs bookings with a table they do not know");
    let claimed =
        "select convalidated::text from pg_constraint where conrelid = 'bookings'::regclass and contype = 'f'";
    assert_eq!(saas.ask(claimed).await, "true", "s4_2: the key claims to hold");
    assert_eq!(saas.ask(LITERAL_COUNT).await, "26", "s4_3: the page counts the booking without a calendar");

    saas.world.say("alice", "status").await;
    let status = saas.see(|t| t.contains("S4") && !t.contains("hecking")).await;
    for part in ["RED", "25 bookings of 1 missing calendars", "1 payments of 1", "7 messages of 1"] {
        assert!(status.contains(part), "{part}: {status}");
    }
    saas.world.say("alice", &format!("declare {RUNBOOK}")).await;
    saas.run("").await;
    saas.unproved(1).await;
    let keys = saas.shown("keys").await;
    let line = |text: &str, words: &[&str]| {
        let lines = text.replace("\\n", "\n").replace('"', "\n");
        lines.lines().filter(|l| l.split_whitespace().take(words.len()).eq(words.iter().copied())).count()
    };
    assert_eq!(
        line(&keys, &["bookings", "calendar_id", "calendars", "id", "parent_fk", "validated", "true"]),
        1,
        "{keys}"
    );
    assert_eq!(
        line(&keys, &["webhook_events", "calendar_id", "calendars", "id", "loose_fk", "never", "validated"]),
        1,
        "{keys}"
    );
    let orphans = saas.shown("orphans").await;
    assert_eq!(line(&orphans, &["bookings.calendar_id", "25", "1"]), 1, "s4_3: {orphans}");
    assert_eq!(line(&orphans, &["whatsapp_conversations.calendar_id", "5", "1"]), 1, "{orphans}");

    let made =
        "select (min(b.created_at) < '2026-11-22 08:15:00+00'::timestamptz - interval '20 days')::text from bookings b
        where not exists (select 1 from calendars c where c.id = b.calendar_id)";
    assert_eq!(saas.ask(made).await, "true", "s4_5: the page would go back three weeks");
    let window = saas.shown("window").await;
    assert!(window.contains("deleted (audit trail)") && window.contains("2026-11-22 08:15:00+00"), "{window}");
    assert!(window.contains("gone without a trace") && window.contains("20251014213639 add indexes"), "{window}");
    assert_eq!((saas.fingerprints().await, saas.vendors.changes().len()), (before, 0), "looking changes nothing");
    saas.finish();
}

/// Point 8: parents come back from a copy that is really there; once, not twice, and not half.
#[tokio::test]
async fn s4_8_parents_come_back_from_the_copy() {
    let saas = stage().await;
    let literal =
        saas.database.admin(SAAS, "insert into calendars select * from pre_corruption_backup.calendars").await;
    assert!(literal.expect_err("nobody made that schema").to_string().contains("does not exist"));
    saas.sql(COPY).await;
    let whole = [saas.fingerprints().await, vec![saas.fingerprint("whatsapp_conversations").await]].concat();
    saas.sql(DAMAGE).await;
    saas.sql("insert into calendars values (id('squatter'), id('user-5'), 'Squatter', 'calendar-2', now())").await;
    let damaged = saas.fingerprints().await;

    saas.world.say("alice", &format!("declare {RUNBOOK}")).await;
    saas.run("repair=parents").await;
    saas.approve("step: Set the restore point", &["bob"]).await;
    let card = saas.approve("step: Put missing parents back", &["bob"]).await;
    for part in ["calendars", "bookings", "whatsapp_conversations", "disruptive"] {
        assert!(card.contains(part), "{part}: {card}");
    }
    let refused = saas.card("Paused").await;
    assert!(refused.contains("rolled back"), "the slug is taken: {refused}");
    assert_eq!(saas.fingerprints().await, damaged, "nothing half done");
    assert!(saas.shown("parents").await.contains("true       true"), "looking said that the slug is taken");

    saas.sql("delete from calendars where id = id('squatter')").await;
    saas.world.say("alice", "next").await;
    saas.approve("step: Put missing parents back", &["bob"]).await;
    saas.see(|t| t.contains("Recovered after") && t.contains("0 bookings of 0 missing calendars")).await;
    let now = [saas.fingerprints().await, vec![saas.fingerprint("whatsapp_conversations").await]].concat();
    assert_eq!(now, whole, "every column is what it was");
    assert_eq!(saas.asked("restore-point"), 1);
    saas.finish();
}

/// Points 3 and 4: exactly the approved orphans move, with their payments, or nothing does.
#[tokio::test]
async fn s4_3_4_orphans_move_whole_and_nothing_else() {
    let saas = stage().await;
    saas.sql(DAMAGE).await;
    saas.sql(WALK_IN).await;
    let left = "select (select count(*) from bookings) || ' ' || (select count(*) from booking_payments)";
    assert_eq!(saas.harm("select 1", left).await, "300 200");
    assert_eq!(saas.harm(LITERAL_DELETE, left).await, "274 183", "s4_3: the walk-in too, and 17 payments by cascade");
    // The schema under which an unqualified name means another table's column.
    saas.sql("alter table calendars add column calendar_id uuid").await;
    assert_eq!(saas.harm(LITERAL_DELETE, left).await, "0 1", "s4_4: every booking goes, and its payment");
    let damaged = saas.fingerprints().await;

    saas.world.say("alice", &format!("declare {RUNBOOK}")).await;
    saas.run("repair=quarantine").await;
    saas.approve("step: Set the restore point", &["bob"]).await;
    let card = saas.approve("step: Move orphans", &["bob"]).await;
    for part in ["destructive", "bookings", "booking_payments", "whatsapp_messages", "25", "17", "needs 2 more"] {
        assert!(card.contains(part), "{part}: {card}");
    }
    assert_eq!(saas.fingerprints().await, damaged, "one person is not enough");
    // Between the two agreements another orphan appears: what was agreed to is not there any more.
    saas.sql("set session_replication_role = replica; insert into bookings (id, calendar_id, customer_name, starts_at) values (id('late'), id('calendar-2'), 'Late', now())").await;
    saas.approve("step: Move orphans", &["carol"]).await;
    let refused = saas.card("Paused").await;
    assert!(refused.contains("the rows changed since the approval"), "{refused}");
    saas.sql("delete from bookings where id = id('late')").await;
    assert_eq!(saas.fingerprints().await, damaged);
    saas.world.say("alice", "next").await;
    saas.approve("step: Move orphans", &["bob", "carol"]).await;
    saas.see(|t| t.contains("Recovered after") && t.contains("0 payments of 0 missing bookings")).await;
    assert_eq!(saas.ask(left).await, "275 182", "25 bookings, their 17 payments and the one without a booking");
    assert_eq!(saas.ask("select count(*)::text from quarantine.rows").await, "50");
    assert_eq!(saas.ask("select count(*)::text from bookings where id = id('walk-in')").await, "1", "s4_3");
    saas.finish();
}

/// Points 5, 6 and 7: a rewind is in place, so it takes the typed ref, a looked-at copy, a restore point and
/// two people; the time goes as a number; and it counts only when the server came back.
#[tokio::test]
async fn s4_6_7_a_rewind_takes_all_that_it_must() {
    let saas = stage().await;
    let whole = saas.fingerprints().await;
    let kept = saas.files.0.join("kept");
    saas.database.stop(Stop::Fast).await.expect("stopped");
    copy(&saas.database.data(), &kept);
    saas.database.restart().await.expect("started");
    saas.sql(DAMAGE).await;
    // Late in its second: the rewind must not go beyond it.
    let to = jiff::Timestamp::from_millisecond((drbot::clock::now().0 / 1000 - 120) * 1000 + 900).expect("a time");
    let right = format!("repair=rewind restore_to={to} scratch_copy=looked-at-this confirm_project={PROJECT}");

    saas.world.say("alice", &format!("declare {RUNBOOK}")).await;
    let wrong = [right.replace(PROJECT, "practiceprojectabcdf"), right.replace("looked-at-this", PROJECT)];
    for (i, wrong) in wrong.iter().enumerate() {
        saas.run(wrong).await;
        saas.unproved(i + 1).await;
        let all = "nothing to do";
        saas.see(|t| t.contains("INC-1 Data") && t.matches(all).count() == 4).await;
        assert_eq!(saas.vendors.changes().len(), 0, "{wrong}");
    }
    saas.run(&right).await;
    saas.approve("step: Set the restore point", &["bob"]).await;
    let card = saas.approve("step: Rewind", &["bob"]).await;
    for part in ["destructive", "time_lost", "bookings_lost", "maintenance mode", "needs 2 more"] {
        assert!(card.contains(part), "{part}: {card}");
    }
    assert_eq!(saas.asked("restore-pitr"), 0, "one person is not enough");
    saas.approve("step: Rewind", &["carol"]).await;
    let sent = saas.world.slack.wait(LIMIT, || (saas.asked("restore-pitr") == 1).then_some(())).await;
    assert!(sent.is_some(), "the call went out");
    let body: Value = serde_json::from_str(&saas.vendors.changes()[1].body).expect("JSON");
    assert_eq!(
        body,
        json!({"recovery_time_target_unix": to.as_second()}),
        "s4_7: a number, never later than asked, and no dump"
    );

    // What the vendor does meanwhile.
    saas.database.stop(Stop::Fast).await.expect("stopped");
    std::fs::remove_dir_all(saas.database.data()).expect("removed");
    copy(&kept, &saas.database.data());
    saas.database.restart().await.expect("started");
    saas.vendors.with(|b| b.supabase.projects.insert(PROJECT.into(), "ACTIVE_HEALTHY".into()));
    saas.see(|t| t.contains("Recovered after") && t.contains("0 bookings of 0 missing calendars")).await;
    assert_eq!(saas.fingerprints().await, whole);
    saas.finish();
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(done.success());
}
