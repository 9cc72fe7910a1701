//! Scenario 1 on the running bot: two probes against a real database and fakes of the vendor's interfaces.

use drbot::practice::scratch::{BOOKING, PASSWORD, Stop};
use drbot::practice::slack::plain_text;

use crate::vendors::Vendors;
use crate::vendors::supabase::{ANON, REF, TOKEN};
use crate::world::{CHANNEL, World, approval_id};

pub async fn stage(key: &str) -> (World, Vendors) {
    let vendors = Vendors::start().await;
    vendors.with(|b| {
        b.supabase.projects.insert(REF.into(), "ACTIVE_HEALTHY".into());
        b.supabase.components.insert("Database".into(), "operational".into());
        b.supabase.components.insert("Auth".into(), "major_outage".into());
    });
    let targets = [
        vendors.target("data-api", "data", ("apikey", key)),
        vendors.target("supabase", "management", ("Authorization", &format!("Bearer {TOKEN}"))),
        vendors.target("status-page", "status", ("X-Nothing", "nothing-to-see")),
    ];
    let world = World::with(true, |w| {
        let main = w.targets[0].clone();
        w.targets.push(("pooler".into(), main.1.clone(), main.2.clone()));
        w.more_targets.extend(targets);
        w.parameters.push(("database-unavailable".into(), "project".into(), REF.into()));
    })
    .await;
    let port = world.database.as_ref().expect("a database").port();
    vendors.with(|b| b.supabase.database = Some(port));
    (world, vendors)
}

/// The scenario's line of a fresh `/dr status`, once everything was asked.
async fn line(world: &World) -> String {
    world.say("alice", "status").await;
    let card = world.see(|t| t.contains("S1 Database unavailable") && !t.contains("hecking")).await;
    let text = plain_text(&card);
    world.slack.delete(CHANNEL, &card.ts);
    text.lines().find(|l| l.contains("S1 Database unavailable")).expect("its line").to_owned()
}

/// The watch also asks: it counts along, so the number of failures is not what is judged here.
async fn until(world: &World, wanted: &str) -> String {
    for _ in 0..12 {
        let line = line(world).await;
        if line.contains(wanted) {
            return line;
        }
    }
    panic!("never `{wanted}`: {}", line(world).await)
}

#[tokio::test]
async fn s1_1_2_both_probes_must_fail_three_times_and_the_status_page_decides_nothing() {
    let (world, vendors) = stage(ANON).await;
    let letter = vendors.by_hand("GET", "/data/rest/v1", ("apikey", ANON), "").await;
    assert_eq!(letter, 401, "the page's probe is refused although all is well");
    let healthy = line(&world).await;
    assert!(healthy.contains("green") && healthy.contains("the vendor says Database is operational"), "{healthy}");
    world.database.as_ref().expect("a database").stop(Stop::Immediate).await.expect("stopped");
    let first = line(&world).await;
    assert!(first.contains("amber") && first.contains("of 3 times in a row"), "{first}");
    let red = until(&world, "RED").await;
    assert!(red.contains("data API: 503 after") && red.contains("PGRST000"), "{red}");
    assert!(red.contains("connection refused"), "{red}");
    assert!(red.contains("the vendor says Database is operational"), "evidence is shown: {red}");
    vendors.finish();
    world.finish();
}

#[tokio::test]
async fn one_probe_alone_is_not_believed_and_a_wrong_key_is_no_outage() {
    let (world, vendors) = stage(ANON).await;
    vendors.with(|b| b.supabase.data_fault = Some(504));
    for _ in 0..4 {
        let amber = line(&world).await;
        assert!(amber.contains("amber") && amber.contains("2 different checks must fail"), "{amber}");
        assert!(amber.contains("PGRST003"), "{amber}");
    }
    vendors.with(|b| b.supabase.data_fault = Some(401));
    let dark = line(&world).await;
    assert!(dark.contains("could not check") && dark.contains("answered 401"), "{dark}");
    vendors.finish();
    world.finish();
}

/// The runbook from the assessment over stuck sessions to the proof; the project is restarted once, after
/// an approval, and only where somebody chose that way.
#[tokio::test]
async fn the_runbook_leads_from_the_figures_to_the_proof() {
    let (world, vendors) = stage(ANON).await;
    let database = world.database.as_ref().expect("a database");
    let mut stuck = database.connect(&database.url("app", PASSWORD, BOOKING)).await.expect("a session");
    sqlx::raw_sql("BEGIN; SELECT 1").execute(&mut stuck).await.expect("a transaction");
    world.say("alice", "declare S1").await;
    world.say("alice", "run S1 idle_for=1s").await;
    let card = world.see(|t| t.contains("/dr next 1 (Stuck connections or a restart)")).await;
    let text = plain_text(&card);
    for figure in ["the project is ACTIVE_HEALTHY in eu-central-1", "3000000000 of 8000000000 bytes", "1 of them idle"]
    {
        assert!(text.contains(figure), "{figure}: {text}");
    }
    world.say("alice", "next 1").await;
    let card = world.see(|t| t.contains("Or type: /dr approve") && t.contains("idle_for")).await;
    world.say("bob", &format!("approve {}", approval_id(&card))).await;
    world.see(|t| t.contains("Is a restart still needed?")).await;
    assert!(sqlx::query("SELECT 1").execute(&mut stuck).await.is_err(), "the stuck session is over");
    world.say("alice", "next 2").await;
    let card = world.see(|t| t.contains("Or type: /dr approve") && t.contains("/restart")).await;
    assert!(plain_text(&card).contains(&format!("POST /v1/projects/{REF}/restart")), "{}", plain_text(&card));
    assert_eq!(vendors.with(|b| b.supabase.restarts), 0);
    world.say("bob", &format!("approve {}", approval_id(&card))).await;
    world.see(|t| t.contains("/dr next 2 (Try it as a user)")).await;
    world.say("alice", "next 1").await;
    world.see(|t| t.contains("Recovered and verified")).await;
    assert_eq!(vendors.with(|b| b.supabase.restarts), 1);
    vendors.finish();
    world.finish();
}
