//! From the assessment of an outage to the runbook that it needs: the same incident goes on, and what was seen
//! stays in it.

use drbot::practice::slack::plain_text;

use crate::scenario_s9::{Loss, NEW, staged};
use crate::vendors::supabase::{ANON, REF};
use crate::world::CHANNEL;

const ASSESSED: [&str; 3] =
    ["the project is ACTIVE_UNHEALTHY in eu-central-1", "3000000000 of 8000000000 bytes", "connections are in use"];

/// An outage, assessed, with the question for the way on the table.
async fn assessed() -> Loss {
    let loss = staged("database-unavailable", None, |w, vendors| {
        let main = w.targets[0].clone();
        w.targets.push(("pooler".into(), main.1, main.2));
        w.more_targets.push(vendors.target("data-api", "data", ("apikey", ANON)));
        w.more_targets.push(vendors.target("status-page", "status", ("X-Nothing", "nothing-to-see")));
        for runbook in ["database-unavailable", "data-corruption"] {
            w.parameters.push((runbook.into(), "project".into(), REF.into()));
        }
    })
    .await;
    loss.saas.vendors.with(|b| {
        b.supabase.projects.insert(REF.into(), "ACTIVE_UNHEALTHY".into());
        b.supabase.components.insert("Database".into(), "operational".into());
    });
    loss.saas.world.say("alice", "declare S1").await;
    loss.saas.world.say("alice", "run S1").await;
    let card = loss.saas.see(|t| t.contains("/dr next 5 (Everything is lost (S9))")).await;
    for figure in ASSESSED {
        assert!(card.contains(figure), "{figure}: {card}");
    }
    loss
}

/// All that the incident's channel shows: the card as it is now, and its history.
fn channel(loss: &Loss) -> String {
    loss.saas.world.slack.messages(CHANNEL).iter().map(plain_text).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn s1_goes_on_as_s9_in_the_same_incident_with_the_evidence() {
    let loss = assessed().await;
    let saas = &loss.saas;
    saas.world.say("alice", "next 5").await;
    // What only a person can say is asked for; nothing has begun.
    saas.see(|t| t.contains("Paused: ") && t.contains("confirm_project=VALUE")).await;
    let said = saas.world.say("alice", &format!("run INC-1 S9 confirm_project={NEW} sha=0123abc")).await;
    assert!(said.starts_with("Started"), "{said}");
    let card = saas.see(|t| t.contains("INC-1 ") && t.contains("Or type: /dr done team")).await;
    assert!(card.contains("total-data-loss"), "{card}");
    let shown = channel(&loss);
    for figure in ASSESSED {
        assert!(shown.contains(figure), "{figure} is gone: {shown}");
    }
    assert!(!shown.contains("INC-2 "), "it is one incident: {shown}");
    saas.finish();
}

#[tokio::test]
async fn s1_goes_on_as_s4_or_s8_in_the_same_incident() {
    for (way, runbook) in [("next 4", "data-corruption"), ("next 3", "database-performance")] {
        let loss = assessed().await;
        loss.saas.world.say("alice", way).await;
        let card = loss.saas.see(|t| t.contains("INC-1 ") && t.contains(&format!("\n{runbook}\n"))).await;
        assert!(!card.contains("could not be started"), "{card}");
        let shown = channel(&loss);
        assert!(ASSESSED.iter().all(|f| shown.contains(f)), "{shown}");
        loss.saas.finish();
    }
}
