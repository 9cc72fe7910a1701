//! The chain finds what a store's administrator changed behind drbot's back.

use drbot::model::id::CaseId;
use drbot::persist::Store;

use super::{Home, append, declared, noted, raw};

/// What was done to the third of five events, and the column that the finding must name.
const TAMPERINGS: [(&str, &[&str], &str); 9] = [
    ("payload", &["UPDATE events SET payload = replace(payload, 'two', 'six') WHERE seq = 3"], "payload"),
    ("payload with its hash", &["UPDATE events SET payload = 'x', payload_hash = 'y' WHERE seq = 3"], "payload"),
    ("payload hash alone", &["UPDATE events SET payload = NULL, payload_hash = 'y' WHERE seq = 3"], "hash"),
    ("kind", &["UPDATE events SET kind = 'granted' WHERE seq = 3"], "hash"),
    ("time", &["UPDATE events SET at = at + 1 WHERE seq = 3"], "hash"),
    ("hash", &["UPDATE events SET hash = replace(hash, substr(hash, 1, 4), '0000') WHERE seq = 3"], "hash"),
    ("deleted", &["DELETE FROM events WHERE seq = 3"], "seq"),
    (
        "deleted and closed up",
        &[
            "DELETE FROM events WHERE seq = 3",
            "UPDATE events SET seq = 3 WHERE seq = 4",
            "UPDATE events SET seq = 4 WHERE seq = 5",
        ],
        "hash",
    ),
    (
        "swapped",
        &[
            "UPDATE events SET seq = 99 WHERE seq = 3",
            "UPDATE events SET seq = 3 WHERE seq = 4",
            "UPDATE events SET seq = 4 WHERE seq = 99",
        ],
        "hash",
    ),
];

pub(super) async fn found(home: &Home) {
    let id = CaseId::incident(1);
    for (name, statements, column) in TAMPERINGS {
        let url = home.url().await;
        let store = Store::open(&url).await.unwrap();
        let events = [declared(1), noted("one"), noted("two"), noted("three"), noted("four")];
        append(&store, &id, &events).await.unwrap();
        assert_eq!(store.check_chain(&id).await.unwrap(), 5, "{name}: sound before");
        for sql in statements {
            raw(&url, sql).await;
        }
        let found = store.check_chain(&id).await.expect_err(name).to_string();
        assert!(found.contains(&format!("column {column},")), "{name}: {found}");
        assert!(found.contains("inc-1/3") || found.contains("inc-1/4"), "{name}: the place is named: {found}");
        store.close().await;
    }
    let url = home.url().await;
    let store = Store::open(&url).await.unwrap();
    append(&store, &id, &[declared(1), noted("secret"), noted("two")]).await.unwrap();
    raw(&url, "UPDATE events SET payload = NULL WHERE seq = 2").await;
    assert_eq!(store.check_chain(&id).await.unwrap(), 3, "an erased payload leaves the chain whole");
}
