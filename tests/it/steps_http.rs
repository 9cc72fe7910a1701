//! HTTP steps through the running bot: previewed, approved, carried out once for each approved row, and
//! judged by the vendor's own record of requests.

use drbot::practice::slack::plain_text;

use crate::support::Folder;
use crate::vendors::stripe::KEY;
use crate::vendors::{Got, Vendors};
use crate::world::{World, approval_id, runbooks};

const RUNBOOK: &str = r#"
runbook: lost-events
title: Events were not delivered
tier: 2
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 5m
params:
  endpoint: { type: name, default: we_practice }
detect:
  every: 1h
  failures: 1
  checks:
    - id: undelivered
      target: stripe
      call:
        path: "/v1/events?delivery_success=false&limit=100"
        rows: { at: /data, columns: { id: /id } }
      expect: { rows: { at_most: 0 }, answer: { no_verdict: [401, 403] } }
      figure: "not delivered: {id}"
steps:
  - id: resend
    title: Send undelivered events to {endpoint} again
    do:
      http:
        target: stripe
        effect: idempotent
        risk: disruptive
        preview:
          call:
            path: "/v1/events?delivery_success=false&limit=100"
            rows: { at: /data, columns: { id: /id, type: /type } }
          identity: [id]
          tolerance: { rows: fewer }
        call:
          method: post
          path: "/v1/events/{id}/retry"
          form: { webhook_endpoint: "{endpoint}" }
          each: true
        verify:
          - id: all-delivered
            target: stripe
            call:
              path: "/v1/events?delivery_success=false&limit=100"
              rows: { at: /data, columns: { id: /id } }
            expect: { rows: { at_most: 0 } }
            figure: "still not delivered: {id}"
        undo: "none: an event that arrives twice is one event"
verify:
  - id: none-left
    target: stripe
    call:
      path: "/v1/events?delivery_success=false&limit=100"
      rows: { at: /data, columns: { id: /id } }
    expect: { rows: { at_most: 0 } }
    figure: "every event was delivered"
"#;

struct Stage {
    world: World,
    vendors: Vendors,
    _files: Folder,
}

async fn stage(key: &str) -> Stage {
    let vendors = Vendors::start().await;
    vendors.with(|b| {
        for (id, delivered) in [("evt_a", false), ("evt_b", true), ("evt_c", false)] {
            b.stripe.events.insert(id.into(), delivered);
        }
    });
    let files = runbooks(&[("lost-events", RUNBOOK)]);
    let target = vendors.target("stripe", "stripe", ("Authorization", &format!("Bearer {key}")));
    let world = World::with(false, |w| {
        w.runbooks = files.0.clone();
        w.more_targets.push(target);
        w.parameters.clear();
    })
    .await;
    Stage { world, vendors, _files: files }
}

impl Stage {
    /// Waits for the approval that shows this part, and Bob agrees.
    async fn approve(&self, part: &str) -> String {
        let card = self.world.see(|t| t.contains("Or type: /dr approve") && t.contains(part)).await;
        let text = plain_text(&card);
        self.world.say("bob", &format!("approve {}", approval_id(&card))).await;
        text
    }
}

#[tokio::test]
async fn exactly_the_approved_calls_are_made_and_each_carries_its_name() {
    let stage = stage(KEY).await;
    let Stage { world, vendors, .. } = &stage;
    world.say("alice", "declare lost-events").await;
    world.say("alice", "run lost-events").await;
    world.see(|t| t.contains("Or type: /dr approve")).await;
    assert_eq!(vendors.changes().len(), 0, "nothing before the approval");
    // Another one fails after the preview: nobody approved it, so nobody touches it.
    vendors.with(|b| b.stripe.events.insert("evt_z".into(), false));
    let text = stage.approve("evt_a").await;
    for part in ["POST /v1/events/evt_a/retry", "POST /v1/events/evt_c/retry", "webhook_endpoint=we_practice"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("evt_b") && !text.contains(KEY), "{text}");
    world.see(|t| t.contains("still not delivered: evt_z")).await;
    let made = vendors.changes();
    let lines: Vec<String> = made.iter().map(Got::line).collect();
    assert_eq!(lines, ["POST /stripe/v1/events/evt_a/retry", "POST /stripe/v1/events/evt_c/retry"]);
    let keys: Vec<&String> = made.iter().map(|g| &g.headers["idempotency-key"]).collect();
    assert!(keys[0] != keys[1] && keys.iter().all(|k| k.starts_with("inc-1.r1.resend.1.")), "{keys:?}");

    world.say("alice", "next").await;
    stage.approve("evt_z").await;
    world.see(|t| t.contains("Verified: every event was delivered")).await;
    assert_eq!(vendors.changes().len(), 3);
    vendors.finish();
    world.finish();
}

/// A refusal is certain. An answer that may have acted is a failure too where the call carries its own
/// name, so that people may simply ask for it again; drbot by itself repeats nothing.
#[tokio::test]
async fn what_the_vendor_says_decides_how_it_ended() {
    let stage = stage(KEY).await;
    let Stage { world, vendors, .. } = &stage;
    vendors.with(|b| b.stripe.change_fault = Some(403));
    world.say("alice", "declare lost-events").await;
    world.say("alice", "run lost-events").await;
    stage.approve("evt_a").await;
    world.see(|t| t.contains("target stripe answered 403: It went wrong on our side")).await;
    vendors.with(|b| b.stripe.change_fault = Some(500));
    world.say("alice", "next").await;
    stage.approve("evt_a").await;
    world.see(|t| t.contains("answered 500")).await;
    assert_eq!(vendors.changes().len(), 2, "one call each time");
    vendors.with(|b| b.stripe.change_fault = None);
    world.say("alice", "next").await;
    stage.approve("evt_a").await;
    world.see(|t| t.contains("Verified: every event was delivered")).await;
    vendors.finish();
    world.finish();
}

/// A wrong key says nothing about the vendor's health.
#[tokio::test]
async fn a_wrong_key_is_no_outage() {
    let stage = stage("rk_test_some_other_key").await;
    stage.world.say("alice", "status").await;
    let text = plain_text(&stage.world.see(|t| t.contains("could not check") && !t.contains("hecking")).await);
    assert!(text.contains("answered 401"), "{text}");
    assert!(!text.contains("green"), "{text}");
    stage.world.finish();
}
