//! The restore drill through the running bot: the newest backup is restored, looked at and removed again;
//! and not at all while it is needed for real. Judged by the recovery database's own catalog.

use crate::scenario_s9::{Loss, NEW, PASSPHRASE, staged};
use crate::vendors::supabase::REF;

#[tokio::test]
async fn a_drill_restores_and_leaves_nothing() {
    let loss = staged("drill", None, |w, _| {
        w.parameters.push(("drill".into(), "project".into(), REF.into()));
        w.parameters.push(("restore-backup".into(), "project".into(), REF.into()));
    })
    .await;
    let saas = &loss.saas;
    loss.back_up(2, PASSPHRASE, |_| {}).await;
    // The second time shows that the first left nothing: schemas that came with the dump would be in the way.
    for number in [1, 2] {
        drilled(&loss, number).await;
    }
    saas.finish();
}

async fn drilled(loss: &Loss, number: usize) {
    let saas = &loss.saas;
    assert_eq!(loss.catalog().await, "empty");
    saas.world.say("alice", "declare drill").await;
    let said = saas.world.say("alice", &format!("run INC-{number} drill confirm_project={NEW}")).await;
    assert!(said.starts_with("Started"), "{said}");
    let name = format!("INC-{number} ");
    saas.approve("step: Download the newest backup", &["bob"]).await;
    saas.approve("step: Load the backup", &["bob"]).await;
    let wanted =
        |t: &str| t.contains(&name) && t.contains("step: Empty the recovery project") && t.contains("/dr approve");
    let card = saas.see(wanted).await;
    assert!(card.contains(NEW) && card.contains("drop schema %I cascade"), "{card}");
    assert_ne!(loss.catalog().await, "empty", "it is really there");
    for table in ["bookings", "auth.users", "auth.mfa_factors"] {
        assert_eq!(loss.fingerprint(table).await, saas.fingerprint(table).await, "{table}");
    }
    let shown = saas.shown(&format!("INC-{number} look")).await;
    assert!(shown.contains("newest_booking"), "{shown}");
    saas.approve("step: Empty the recovery project", &["bob"]).await;
    saas.see(|t| t.contains(&name) && t.contains("Recovered after") && t.contains("0 things in schema public")).await;
    assert_eq!(loss.catalog().await, "empty");
    assert_eq!(loss.fingerprint("auth.users").await, "empty", "no account stays behind");
}

/// On the day nobody takes the recovery project away for a drill.
#[tokio::test]
async fn no_drill_while_it_is_needed_for_real() {
    let loss = staged("total-data-loss", None, |w, _| {
        w.parameters.push(("drill".into(), "project".into(), REF.into()));
    })
    .await;
    let saas = &loss.saas;
    saas.world.say("alice", "declare S9").await;
    saas.world.say("alice", "declare the monthly drill").await;
    let said = saas.world.say("alice", &format!("run INC-2 drill confirm_project={NEW}")).await;
    assert!(said.contains("the recovery project is needed for real"), "{said}");
    saas.finish();
}
