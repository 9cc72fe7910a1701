//! Scenario S5, WhatsApp down, through the running bot: what the page's own commands do, and that the
//! runbook does not. The judges are the database's rows and n8n's record.

use drbot::practice::slack::plain_text;

use crate::saas::{SAAS, Saas};
use crate::vendors::n8n::{KEY, WORKFLOW};
use crate::world::CHANNEL;

const RUNBOOK: &str = "whatsapp-down";
const FILE: &str = include_str!("../../commands/whatsapp-down.yaml");
/// The calendar of these stories.
const CALENDAR: &str = "id('calendar-1')";
/// Settings of a zone in which it is about this hour now, on any day; `Etc/GMT-3` is three hours east.
const ZONE: &str = "UPDATE calendar_settings SET business_days = '{1,2,3,4,5,6,7}', opens = '09:00', closes = '18:00', timezone = (SELECT 'Etc/GMT' || CASE WHEN east > 0 THEN '-' ELSE '+' END || abs(east) FROM (SELECT (HOUR - extract(hour FROM now() AT TIME ZONE 'UTC')::int + 36) % 24 - 12 AS east) z)";

pub async fn stage() -> Saas {
    let rights: Vec<&str> = FILE.lines().filter_map(|l| l.strip_prefix("# -- ")).collect();
    let saas = Saas::start(RUNBOOK, &rights.join("\n"), |w, vendors| {
        w.more_targets.push(vendors.target("n8n", "n8n", ("X-N8N-API-KEY", KEY)));
        w.parameters.push((RUNBOOK.into(), "workflow".into(), WORKFLOW.into()));
        vendors.with(|b| {
            b.n8n.active = true;
            b.n8n.executions = vec!["error", "success"];
        });
    })
    .await;
    saas.at_hour(13).await;
    saas.sql("UPDATE calendar_settings SET whatsapp_qr_url = 'https://qr.example/' || calendar_id, whatsapp_qr_generated_at = now() - interval '30 days' WHERE whatsapp_bot_active").await;
    // Four weeks with a message every ten minutes, the last one just now.
    saas.sql("INSERT INTO whatsapp_messages (conversation_id, created_at) SELECT DISTINCT ON (c.calendar_id, n) c.id, now() - n * interval '10 minutes' FROM whatsapp_conversations c, generate_series(0, 4000) n").await;
    saas
}

impl Saas {
    async fn at_hour(&self, hour: u32) {
        // POSIX names count westwards: the sign is turned.
        self.sql(&ZONE.replace("HOUR", &hour.to_string())).await;
        let known =
            "SELECT count(*)::text FROM calendar_settings WHERE timezone NOT IN (SELECT name FROM pg_timezone_names)";
        assert_eq!(self.ask(known).await, "0", "a zone that PostgreSQL knows");
    }

    /// Takes away the newest messages of a calendar, or of all.
    async fn silence(&self, whose: &str, since: &str) {
        self.sql(&format!("DELETE FROM whatsapp_messages m USING whatsapp_conversations c WHERE c.id = m.conversation_id AND ({whose}) AND m.created_at > now() - interval '{since}'")).await;
    }

    async fn s5(&self) -> String {
        self.world.say("alice", "status").await;
        let card = self.world.see(|t| t.contains("S5 ") && !t.contains("hecking")).await;
        self.world.slack.delete(CHANNEL, &card.ts);
        plain_text(&card)
    }

    async fn calendar(&self) -> String {
        self.ask("SELECT id('calendar-1')::text").await
    }

    async fn run_s5(&self) {
        self.world.say("alice", "declare S5").await;
        let calendar = self.calendar().await;
        let said = self.world.say("alice", &format!("run S5 calendar={calendar}")).await;
        assert!(!said.contains("parameter"), "{said}");
    }

    /// A message comes in and, with `answered`, one goes out; n8n ran.
    async fn message(&self, answered: bool) {
        let rows = if answered { "('in'), ('out')" } else { "('in')" };
        self.sql(&format!("INSERT INTO whatsapp_messages (conversation_id, direction, body, created_at) SELECT (SELECT id FROM whatsapp_conversations WHERE calendar_id = {CALENDAR} LIMIT 1), d, 'test', clock_timestamp() FROM (VALUES {rows}) v(d)")).await;
        self.vendors.with(|b| b.n8n.executions.push(if answered { "success" } else { "error" }));
    }

    async fn done(&self, step: &str) {
        self.see(|t| t.contains(&format!("Or type: /dr done {step}"))).await;
        let said = self.world.say("bob", &format!("done {step} seen at 12:01")).await;
        assert!(said.contains("is done"), "{said}");
    }
}

/// The page's age of the newest message is NULL on an empty table and fires never, at night it fires
/// always. Ours is the other way round, and it knows a calendar where messages are rare.
#[tokio::test]
async fn s5_1_an_empty_table_alarms_and_a_quiet_night_does_not() {
    let saas = stage().await;
    let page =
        "SELECT coalesce((now() - max(created_at) > interval '10 minutes')::text, 'null') FROM whatsapp_messages";
    let green = saas.s5().await;
    assert!(green.contains("green") && green.contains("0 of 6 open calendars"), "{green}");

    // Silent since before they opened, and closed by now: nobody can tell a loss from a quiet evening.
    saas.silence("true", "14 hours").await;
    saas.at_hour(20).await;
    assert_eq!(saas.ask(page).await, "true", "the page wakes people");
    let night = saas.s5().await;
    assert!(night.contains("green") && night.contains("0 of 0 open"), "{night}");
    // A day on which they are closed.
    saas.at_hour(13).await;
    saas.sql("UPDATE calendar_settings SET business_days = array_remove(business_days, extract(isodow FROM now() AT TIME ZONE timezone)::int)").await;
    assert!(saas.s5().await.contains("0 of 0 open"));
    saas.at_hour(13).await;
    assert!(saas.s5().await.contains("6 of 6 open calendars"));
    // Only one of them, while the others go on: the page's newest of all sees nothing.
    saas.sql("INSERT INTO whatsapp_messages (conversation_id) SELECT id FROM whatsapp_conversations WHERE calendar_id <> id('calendar-1')").await;
    assert_eq!(saas.ask(page).await, "false");
    let one = saas.s5().await;
    assert!(one.contains("1 of 6 open calendars") && one.contains(&saas.calendar().await), "{one}");
    // Where a message comes twice a week, some hours are no news.
    saas.sql("DELETE FROM whatsapp_messages m USING whatsapp_conversations c WHERE c.id = m.conversation_id AND c.calendar_id = id('calendar-1') AND extract(epoch FROM now() - m.created_at)::bigint / 600 % 500 <> 40").await;
    assert!(saas.s5().await.contains("0 of 6 open calendars"), "rare messages");

    saas.sql("TRUNCATE whatsapp_messages").await;
    assert_eq!(saas.ask(page).await, "null", "the page never fires");
    assert!(saas.s5().await.contains("6 of 6 open calendars"));
    saas.finish();
}

/// The page's test call answers 200 and acts on real people while every execution fails. Ours reads how
/// executions end, and calls no webhook.
#[tokio::test]
async fn s5_2_a_webhooks_200_proves_nothing() {
    let saas = stage().await;
    let page = saas.vendors.by_hand("POST", "/n8n/webhook/whatsapp", ("accept", "*/*"), r#"{"test": "message"}"#);
    assert_eq!(page.await, 200);
    assert_eq!(saas.vendors.with(|b| (b.n8n.side_effects, b.n8n.executions.last().copied())), (1, Some("error")));
    let text = saas.s5().await;
    assert!(text.contains("amber") && text.contains(": error, begun"), "{text}");
    saas.vendors.with(|b| b.n8n.executions.push("success"));
    assert!(saas.s5().await.contains("green"), "an error of before is no news");
    // The process is up, its database is not; and a workflow that is off.
    saas.vendors.with(|b| (b.n8n.not_ready, b.n8n.active) = (true, false));
    let text = saas.s5().await;
    assert!(text.contains("readiness answered 503") && text.contains("Booking Assistant active: false"), "{text}");
    let hooks = saas.vendors.with(|b| b.requests.iter().filter(|r| r.path.contains("webhook")).count());
    assert_eq!(hooks, 1, "only the page's own");
    saas.finish();
}

/// The page switches the bot off and forgets what was there before anybody can scan. Ours leaves it on and
/// keeps what it takes away; the undo's own text brings it back.
#[tokio::test]
async fn s5_3_nothing_is_switched_off_before_the_scan() {
    let saas = stage().await;
    let literal = "BEGIN; UPDATE calendar_settings SET whatsapp_qr_url = NULL, whatsapp_qr_generated_at = NULL, whatsapp_bot_active = false WHERE calendar_id = id('calendar-1'); DO $$ BEGIN IF EXISTS (SELECT FROM calendar_settings WHERE calendar_id = id('calendar-1') AND whatsapp_bot_active) THEN RAISE 'still on'; END IF; END $$; ROLLBACK";
    saas.database.admin(SAAS, literal).await.expect("the harm: off, with nothing kept");
    let before = saas.fingerprint("calendar_settings").await;
    saas.silence("c.calendar_id = id('calendar-1')", "10 hours").await;
    saas.run_s5().await;
    saas.done("try").await;
    let card = saas.approve("whatsapp_qr_generated_at", &["bob"]).await;
    assert!(!card.contains("qr.example"), "the code's address is a key: {card}");
    saas.see(|t| t.contains("Or type: /dr done reconnect") && t.contains("count down 60 s")).await;
    let now = "SELECT concat_ws(' ', whatsapp_bot_active, coalesce(whatsapp_qr_url, 'no code'), (SELECT count(*) FROM drbot.whatsapp_before)) FROM calendar_settings WHERE calendar_id = id('calendar-1')";
    assert_eq!(saas.ask(now).await, "t no code 1");
    let owner = saas.world.show("owner").await;
    assert!(
        owner.contains(&saas.ask("SELECT user_id::text FROM calendars WHERE id = id('calendar-1')").await),
        "{owner}"
    );

    // The undo, word for word.
    let undo =
        FILE.lines().find_map(|l| l.trim().strip_prefix("undo: \"update calendar_settings s set ")).expect("an undo");
    saas.sql(&format!("update calendar_settings s set {}", undo.trim_end_matches('"'))).await;
    assert_eq!(saas.fingerprint("calendar_settings").await, before);
    // Its reader may not see where the codes are kept.
    let peek = "SET ROLE drbot_observer; SELECT * FROM drbot.whatsapp_before";
    assert!(saas.database.admin(SAAS, peek).await.is_err());
    saas.finish();
}

/// From red to verified, with a stopped workflow, a lost session and a bot that the application switched off.
#[tokio::test]
async fn the_whole_scenario() {
    let saas = stage().await;
    let others = saas.fingerprint("bookings").await;
    saas.vendors.with(|b| {
        b.n8n.active = false;
        b.n8n.executions.extend(["success", "crashed"]);
    });
    saas.silence("true", "6 hours").await;
    saas.s5().await;
    let text = saas.s5().await;
    for part in ["RED", "6 of 6 open calendars", "Booking Assistant active: false", ": crashed, begun"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    saas.world.say("alice", "declare S5").await;
    let short = saas.world.say("alice", "run S5").await;
    assert!(short.contains("needs a value for `calendar`. Listing `calendar`"), "{short}");
    let calendar = saas.calendar().await;
    let shown = saas.choose("calendar", &[("calendar", &calendar)]).await;
    assert_eq!(shown.len(), 6, "one line for each calendar with a bot: {shown:?}");
    assert!(shown.iter().all(|label| label.contains(", last message ")), "{shown:?}");

    let card = saas.approve(&format!("/api/v1/workflows/{WORKFLOW}/activate"), &["bob"]).await;
    assert!(card.contains("deactivate puts it back") && !card.contains(KEY), "{card}");
    saas.done("try").await;
    assert!(saas.world.show("crashed").await.contains("crashed"));
    saas.approve("calendar_settings s set", &["bob"]).await;
    saas.see(|t| t.contains("Or type: /dr done reconnect")).await;
    // The owner disconnects, scans and sends a message, which is answered.
    saas.sql("UPDATE calendar_settings SET whatsapp_bot_active = false, whatsapp_qr_url = 'https://qr.example/new', whatsapp_qr_generated_at = now() WHERE calendar_id = id('calendar-1')").await;
    saas.message(true).await;
    saas.done("reconnect").await;
    saas.approve("whatsapp_bot_active = true", &["bob"]).await;
    let end = saas.see(|t| t.contains("Verified:")).await;
    for part in ["1 messages in the last minutes, 1 of them answered", ": success", "workflow active: true"] {
        assert!(end.contains(part), "{part}: {end}");
    }
    let made: Vec<String> = saas.vendors.changes().iter().map(crate::vendors::Got::line).collect();
    assert_eq!(made, [format!("POST /n8n/api/v1/workflows/{WORKFLOW}/activate")]);
    assert_eq!(saas.fingerprint("bookings").await, others);
    saas.finish();
}

/// A message that nobody answered is not yet a recovery.
#[tokio::test]
async fn a_message_without_an_answer_is_no_recovery() {
    let saas = stage().await;
    saas.silence("c.calendar_id = id('calendar-1')", "10 hours").await;
    saas.run_s5().await;
    saas.done("try").await;
    saas.approve("calendar_settings s set", &["bob"]).await;
    saas.see(|t| t.contains("Or type: /dr done reconnect")).await;
    saas.message(false).await;
    saas.done("reconnect").await;
    saas.see(|t| t.contains("1 messages in the last minutes, 0 of them answered")).await;
    saas.message(true).await;
    saas.world.say("alice", "next").await;
    saas.see(|t| t.contains("Verified:")).await;
    saas.finish();
}
