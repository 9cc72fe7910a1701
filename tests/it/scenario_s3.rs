//! Stripe's webhooks through the running bot: what the page would have done, and that the shipped runbook does
//! not. The judges are the database's rows and the record of what Stripe and the application were asked.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::stripe_story::{SIGNING, Stage, URL, post};
use crate::vendors::stripe::{DESTINATION, ENDPOINT, KEY};

const RUNBOOK: &str = "stripe-webhook-failures";
const PAID: i64 = 1_795_000_000;

/// Three events that both sides call failed; one that failed here and that Stripe calls delivered; one that
/// never arrived; one that is processed here and pending elsewhere; one of this minute; a notification of
/// another scenario in the same table; and one failed long ago.
const DAMAGE: &str = "
insert into webhook_events (event_type, stripe_event_id, status, error_message, created_at) values
 ('payment_intent.succeeded', 'evt_lost1', 'failed', 'No signatures found matching ''jane@example.com''', now() - interval '3 hours'),
 ('payment_intent.succeeded', 'evt_lost2', 'failed', 'No signatures found', now() - interval '2 hours'),
 ('charge.failed', 'evt_lost3', 'failed', '42501 permission denied for table webhook_events', now() - interval '1 hour'),
 ('payment_intent.succeeded', 'evt_taken', 'failed', 'duplicate key value violates unique constraint', now() - interval '1 hour'),
 ('payment_intent.succeeded', 'evt_elsewhere', 'processed', null, now() - interval '1 hour'),
 ('payment_intent.succeeded', 'evt_old', 'failed', 'timeout', now() - interval '20 days');
insert into webhook_events (source, event_type, status, created_at) values ('app', 'stripe_account_suspended', 'failed', now());";

const EVENTS: [(&str, bool); 6] = [
    ("evt_lost1", false),
    ("evt_lost2", false),
    ("evt_lost3", false),
    ("evt_taken", true),
    ("evt_elsewhere", false),
    ("evt_unseen", false),
];

/// The page's detection, to the letter.
const LITERAL: &str =
    "SELECT count(*)::text FROM webhook_events WHERE status = 'failed' AND created_at > NOW() - INTERVAL '24 hours'";

async fn stage() -> Stage {
    Stage::start(RUNBOOK, &[("endpoint", ENDPOINT), ("endpoint_url", URL)]).await
}

pub async fn damaged() -> Stage {
    let stage = stage().await;
    stage.saas.sql(DAMAGE).await;
    stage.saas.vendors.with(|b| {
        b.stripe.events.extend(EVENTS.map(|(id, ok)| (id.to_owned(), ok)));
        b.stripe.events.insert("evt_minute".into(), false);
        let now = drbot::clock::now().0 / 1000;
        b.stripe.details.insert("evt_minute".into(), ("payment_intent.succeeded".into(), now, json!({})));
        b.stripe.events.insert("evt_other".into(), false);
        b.stripe.details.insert("evt_other".into(), ("invoice.created".into(), now - 7200, json!({})));
    });
    stage
}

impl Stage {
    /// What the function does once an event reaches it.
    async fn arrives(&self, event: &str) {
        self.saas
            .sql(&format!(
                "insert into webhook_events (event_type, stripe_event_id) values ('payment_intent.succeeded', '{event}')
             on conflict (stripe_event_id) do update set status = 'processed', error_message = null"
            ))
            .await;
    }

    /// A pending payment, and Stripe's intent for it.
    pub async fn payment(&self, change: impl FnOnce(&mut Value)) {
        self.saas.sql("update booking_payments set status = 'pending', paid_at = null where stripe_payment_intent_id = 'pi_practice7'").await;
        let mut intent = json!({"id": "pi_practice7", "object": "payment_intent", "status": "succeeded", "amount": 3200,
            "amount_received": 3200, "currency": "eur", "transfer_data": {"destination": "acct_practice8"},
            "latest_charge": {"id": "ch_practice7", "object": "charge", "created": PAID}});
        change(&mut intent);
        self.saas.vendors.with(|b| b.stripe.intents.insert("pi_practice7".into(), intent));
    }
}

/// The page's resend names no endpoint: it is answered 200 and reaches nobody.
fn page_resends(stage: &Stage) {
    let literal = post(
        "/stripe/v1/events/evt_lost1/retry",
        &[
            ("authorization", &format!("Bearer {KEY}")),
            ("content-type", "application/x-www-form-urlencoded"),
            ("idempotency-key", "by-hand"),
        ],
        "",
    );
    stage.saas.vendors.with(|b| {
        assert_eq!(b.stripe.answer(&literal).expect("documented").0, 200);
        assert!(!b.stripe.events["evt_lost1"], "s3_1: the page's resend is answered 200 and delivers nothing");
        b.stripe.unheard.clear();
    });
}

/// The whole scenario; points 1 (which events, and to which endpoint) and 6 (whose events).
#[tokio::test]
async fn s3_1_6_exactly_the_lost_events_go_again_and_to_us() {
    let stage = damaged().await;
    assert_eq!(stage.saas.ask(LITERAL).await, "5", "s3_6: the page counts another scenario's notification");
    let status = stage.status("S3", "RED").await;
    for part in ["4 Stripe events of 2 kinds failed in 1d", "4 events that Stripe could not deliver"] {
        assert!(status.contains(part), "{part}: {status}");
    }
    page_resends(&stage);

    stage.declare().await;
    stage.run("").await;
    stage.done("cause-fixed").await;
    let shown = stage.shown("undelivered").await;
    assert!(shown.contains("evt_elsewhere") && shown.contains("never arrived"), "{shown}");
    let card = stage.saas.approve("step: Have Stripe send", &["bob"]).await;
    for event in ["evt_lost1", "evt_lost2", "evt_lost3", "evt_unseen"] {
        assert!(card.contains(&format!("POST /v1/events/{event}/retry")), "{event}: {card}");
    }
    for event in ["evt_taken", "evt_elsewhere", "evt_minute", "evt_other", "evt_old"] {
        assert!(!card.contains(event), "s3_1: {event}: {card}");
    }
    stage.called("retry", 4).await;
    assert!(stage.calls("retry").iter().all(|g| g.body == format!("webhook_endpoint={ENDPOINT}")));
    for event in ["evt_lost1", "evt_lost2", "evt_lost3", "evt_unseen"] {
        stage.arrives(event).await;
    }
    // What Stripe counts as delivered stays failed, and the run says so.
    stage.unproved(1).await;
    stage.saas.see(|t| t.contains("did not pass: 1 Stripe events of 1 kinds failed")).await;

    stage.run("resend_by=app").await;
    stage.done("cause-fixed").await;
    let card = stage.saas.approve("step: Have the application fetch", &["bob"]).await;
    assert!(card.contains("evt_taken") && !card.contains("evt_old") && !card.contains("evt_lost"), "{card}");
    stage.called("process-stripe-event", 1).await;
    stage.arrives("evt_taken").await;
    let end = stage.card("INC-1", "Recovered after").await;
    assert!(end.contains("0 Stripe events of 0 kinds failed") && end.contains("answered 400"), "{end}");
    assert_eq!(stage.calls("retry").len(), 4);
    stage.saas.vendors.with(|b| assert_eq!(b.app.processed.len(), 1));

    // Again, and with a ping of the destination: nothing else is left to do.
    stage.declare().await;
    stage.run(&format!("destination={DESTINATION}")).await;
    stage.done("cause-fixed").await;
    stage.saas.approve("step: Have Stripe ping", &["bob"]).await;
    stage.called("/ping", 1).await;
    stage.arrives("evt_ping").await;
    stage.card("INC-2", "Recovered after").await;
    assert_eq!(stage.calls("retry").len(), 4);
    stage.finish();
}

/// Many events go one after the other, slower than what Stripe allows.
#[tokio::test]
async fn s3_1_a_long_list_stays_below_the_rate_limit() {
    let stage = stage().await;
    // A hundred that need nothing could hide one that does: what was not read is not green.
    stage.saas.sql("insert into webhook_events (event_type, stripe_event_id) select 'charge.failed', 'evt_done' || n from generate_series(100, 200) n").await;
    stage.saas.vendors.with(|b| b.stripe.events.extend((100..201).map(|n| (format!("evt_done{n}"), false))));
    let more = stage.status("S3", "RED").await;
    assert!(more.contains("are not seen: true") && !more.contains("could not deliver"), "{more}");
    stage.saas.vendors.with(|b| b.stripe.events.clear());

    stage.saas.vendors.with(|b| b.stripe.events.extend((10..50).map(|n| (format!("evt_many{n}"), false))));
    stage.declare().await;
    stage.run("").await;
    stage.done("cause-fixed").await;
    stage.saas.approve("step: Have Stripe send", &["bob"]).await;
    stage.called("retry", 40).await;
    for n in 10..50 {
        stage.arrives(&format!("evt_many{n}")).await;
    }
    stage.card("INC-1", "Recovered after").await;
    stage.finish();
}

/// Point 2: 400 is right, 200 is a security incident, anything else an outage; and only the signature can be
/// what refuses the forged event.
#[tokio::test]
async fn s3_2_a_forged_signature_must_be_refused() {
    let stage = stage().await;
    stage.status("S3", "green").await;
    let forged = stage.calls("stripe-webhook").last().cloned().expect("it was asked");
    let signature = &forged.headers["stripe-signature"];
    let at = signature.split(',').next().and_then(|t| t.strip_prefix("t=")).expect("a time");
    let mut mac = Hmac::<Sha256>::new_from_slice(SIGNING.as_bytes()).expect("any length");
    mac.update(format!("{at}.{}", forged.body).as_bytes());
    let right = format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()));
    let signed = post(&forged.path, &[("stripe-signature", &right)], &forged.body);
    stage.saas.vendors.with(|b| {
        assert_eq!(b.app.answer(&forged).expect("known").0, 400, "the page calls this broken");
        assert_eq!(b.app.answer(&signed).expect("known").0, 200, "nothing but the signature was wrong");
        b.app.taken.clear();
        b.app.webhook_fault = Some(503);
    });
    let down = stage.status("S3", "RED").await;
    assert!(down.contains("a forged signature was answered 503"), "{down}");
    stage.saas.vendors.with(|b| (b.app.webhook_fault, b.app.trusting) = (None, true));
    let open = stage.status("S3", "answered 200").await;
    assert!(open.contains("RED") && open.contains("SECURITY INCIDENT"), "{open}");
    stage.saas.vendors.with(|b| {
        b.app.trusting = false;
        assert!(!b.app.taken.is_empty() && b.app.taken.iter().all(|t| t == "drbot.forged_signature"), "harmless");
        b.stripe.endpoints.insert(ENDPOINT.into(), ("disabled".into(), URL.into()));
    });
    let disabled = stage.status("S3", "0 of 1 endpoint").await;
    assert!(disabled.contains("RED") && !disabled.contains("SECURITY"), "{disabled}");
    stage.finish();
}

/// One thing after the other is not as ours; nothing is offered, and the payment stays what it was.
async fn nothing_fits(stage: &Stage, before: &str) {
    let odd: [(&str, Value); 5] = [
        ("/status", json!("processing")),
        ("/amount_received", json!(3100)),
        ("/currency", json!("usd")),
        ("/transfer_data/destination", json!("acct_practice1")),
        ("/transfer_data/destination", Value::Null),
    ];
    for (i, (pointer, value)) in odd.into_iter().enumerate() {
        stage.payment(|intent| *intent.pointer_mut(pointer).expect("there") = value).await;
        stage.run("payment=pi_practice7").await;
        stage.done("cause-fixed").await;
        stage.unproved(i + 1).await;
        stage.saas.see(|t| t.contains("did not pass: payment pi_practice7: pending")).await;
        assert_eq!(stage.saas.fingerprint("booking_payments").await, before, "s3_3: {pointer}");
    }
}

/// Point 3: a payment becomes what Stripe says, or nothing happens.
#[tokio::test]
async fn s3_3_a_payment_is_only_what_stripe_says() {
    let stage = stage().await;
    let literal = "UPDATE booking_payments SET status = 'succeeded', paid_at = NOW(), updated_at = NOW() WHERE stripe_payment_intent_id = 'pi_practice7' AND status = 'pending'";
    let state = "select status || ' ' || coalesce(extract(epoch from paid_at)::bigint::text, 'unpaid') from booking_payments where stripe_payment_intent_id = 'pi_practice7'";
    stage.payment(|i| i["status"] = json!("requires_payment_method")).await;
    let left = stage.saas.harm(literal, state).await;
    assert!(left.starts_with("succeeded ") && !left.ends_with("unpaid"), "the page believes what nobody paid: {left}");
    let before = stage.saas.fingerprint("booking_payments").await;

    stage.declare().await;
    nothing_fits(&stage, &before).await;
    stage.run("payment=pi_practice7 confirm=yes").await;
    stage.done("cause-fixed").await;
    stage.unproved(6).await;
    assert_eq!(stage.calls("confirmation").len(), 0, "nobody confirms what is not paid");

    // Between the two agreements Stripe takes it back.
    stage.payment(|_| ()).await;
    stage.run("payment=pi_practice7 confirm=yes").await;
    stage.done("cause-fixed").await;
    let card = stage.saas.approve("step: Set payment pi_practice7", &["bob"]).await;
    for part in ["destructive", "ch_practice7", "3200", "eur", "acct_practice8", "1795000000"] {
        assert!(card.contains(part), "{part}: {card}");
    }
    stage.payment(|i| i["amount_received"] = json!(0)).await;
    stage.saas.approve("step: Set payment pi_practice7", &["carol"]).await;
    stage.card("INC-1", "the rows changed since the approval: 1 gone, 0 new").await;
    assert_eq!(stage.saas.fingerprint("booking_payments").await, before);

    stage.payment(|_| ()).await;
    stage.saas.world.say("alice", "next").await;
    stage.saas.approve("step: Set payment pi_practice7", &["bob", "carol"]).await;
    stage.saas.approve("step: Ask the application to confirm", &["bob"]).await;
    stage.card("INC-1", "Recovered after").await;
    assert_eq!(stage.saas.ask(state).await, format!("succeeded {PAID}"), "the charge's time, not now");
    let once = "select (select count(*) from drbot.ledger) || ' ' || (select count(*) from audit_trail where new_data->>'charge' = 'ch_practice7')";
    assert_eq!(stage.saas.ask(once).await, "1 1");

    // Again: it is not pending any more, and the customer gets no second mail.
    stage.declare().await;
    stage.run("payment=pi_practice7 confirm=yes").await;
    stage.done("cause-fixed").await;
    stage.saas.approve("step: Ask the application to confirm", &["bob"]).await;
    stage.card("INC-2", "Recovered after").await;
    assert_eq!(stage.saas.ask(once).await, "1 1");
    let booking = stage.saas.ask("select id('booking-7')::text").await;
    stage.saas.vendors.with(|b| assert_eq!(b.app.mails, [booking]));
    stage.finish();
}

/// Point 4: the page's policy changes nothing for the role it names; reading the error finds the GRANT.
#[tokio::test]
async fn s3_4_a_missing_grant_is_no_missing_policy() {
    let stage = stage().await;
    stage.saas.sql("do $$ begin create role service_role nologin bypassrls; exception when duplicate_object then null; end $$; alter table webhook_events enable row level security; grant select on webhook_events to service_role; alter role drbot_observer bypassrls; alter role drbot_operator bypassrls").await;
    let policy = "CREATE POLICY \"service_role_all_webhook_events\" ON webhook_events FOR ALL TO service_role USING (true) WITH CHECK (true)";
    let insert =
        "set role service_role; insert into webhook_events (event_type, stripe_event_id) values ('x', 'evt_x')";
    let with = |sql: &str| format!("{sql}; {insert}");
    let refused = stage.saas.database.admin("saas", &with(&format!("begin; {policy}"))).await.expect_err("no right");
    assert!(refused.to_string().contains("permission denied"), "s3_4: with the policy: {refused}");
    let twice = stage.saas.database.admin("saas", &format!("begin; {policy}; {policy}")).await.expect_err("twice");
    assert!(twice.to_string().contains("already exists"), "{twice}");
    let count = "select count(*)::text from webhook_events where stripe_event_id = 'evt_x'";
    let granted = with("grant insert on webhook_events to service_role");
    assert_eq!(stage.saas.harm(&granted, count).await, "1", "a GRANT and no policy");

    stage.saas.sql(DAMAGE).await;
    stage.declare().await;
    stage.run("").await;
    stage.saas.see(|t| t.contains("Or type: /dr done cause-fixed")).await;
    let causes = stage.shown("causes").await;
    for part in ["signature: overlap a second secret", "missing GRANT, no policy helps", "constraint: the data"] {
        assert!(causes.contains(part), "{part}: {causes}");
    }
    assert!(!causes.contains("jane@example.com"), "customers' data: {causes}");
    let rights = stage.shown("rights").await;
    let line = rights.replace("\\n", "\n").replace('"', "\n");
    let line = line.lines().find(|l| l.starts_with("service_role")).unwrap_or_else(|| panic!("{rights}"));
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["service_role", "true", "true", "false", "false"]);
    stage.finish();
}

/// Point 5: replacing the secret refuses what is retried; two of them let both through. No secret is asked of
/// Stripe by the bot.
#[tokio::test]
async fn s3_5_two_secrets_overlap() {
    let stage = stage().await;
    let signed = |secret: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
        let at = drbot::clock::now().0 / 1000;
        mac.update(format!("{at}.{{}}").as_bytes());
        let header = format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()));
        post("/app/functions/v1/stripe-webhook", &[("stripe-signature", &header)], "{}")
    };
    let (old, new) = (signed(SIGNING), signed("whsec_practice_next_secret"));
    stage.saas.vendors.with(|b| {
        b.app.signing = vec!["whsec_practice_next_secret".into()];
        let answers = |b: &mut crate::vendors::Books| [&old, &new].map(|g| b.app.answer(g).expect("known").0);
        assert_eq!(answers(b), [400, 200], "the page's replacement breaks retries under way");
        b.app.signing.push(SIGNING.into());
        assert_eq!(answers(b), [200, 200]);
    });
    stage.declare().await;
    stage.run("").await;
    let asked = stage.saas.see(|t| t.contains("Or type: /dr done cause-fixed")).await;
    assert!(asked.contains("make a SECOND endpoint") && asked.contains("never replace one"), "{asked}");
    stage.done("cause-fixed").await;
    stage.card("INC-1", "Recovered after").await;
    assert_eq!(stage.calls("webhook_endpoints").len(), 0);
    stage.finish();
}
