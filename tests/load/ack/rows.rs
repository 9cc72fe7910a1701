//! The store's own batched commits of the rows that notes leave: delivery, event, effect, and now and
//! then a snapshot; no HTTP and no decision. Takes a batch size; gives notes per second.

use std::time::{Duration, Instant};

use anyhow::Result;
use drbot::clock;
use drbot::model::effect::{CardKind, Effect};
use drbot::model::event::Event;
use drbot::model::id::CaseId;
use drbot::model::message::{Message, Reply};
use drbot::model::person::PersonId;
use drbot::persist::{Batch, Store, chain};

use crate::bot::fresh;
use crate::client::WARM_UP;
use crate::requests::{CONNECTIONS, note};

/// Commits batches of `size` notes.
///
/// # Errors
/// The store refuses one.
pub async fn measure(counted: Duration, size: usize) -> Result<f64> {
    let folder = fresh("rows")?;
    let store = Store::open(&format!("sqlite://{}/drbot.db", folder.display())).await?;
    let mut heads: Vec<(u64, String)> =
        (0..CONNECTIONS).map(|c| (0, chain::start(&CaseId::incident(c as u64 + 1).0))).collect();
    let (begin, mut done, mut next) = (Instant::now() + WARM_UP, 0_usize, 0);
    loop {
        let mut batch = Batch::default();
        for _ in 0..size {
            add(&mut batch, next, &mut heads[next % CONNECTIONS])?;
            next += 1;
        }
        store.commit(&batch).await?;
        let now = Instant::now();
        if now > begin {
            done += size;
        }
        if now >= begin + counted {
            store.close().await;
            return Ok(done as f64 / now.duration_since(begin).as_secs_f64());
        }
    }
}

fn add(batch: &mut Batch, number: usize, head: &mut (u64, String)) -> Result<()> {
    let (at, now) = (number % CONNECTIONS, clock::now());
    let case = CaseId::incident(at as u64 + 1);
    let reply = Reply::Private(Message::text(format!("Noted in INC-{}.", at + 1)));
    batch.delivery(&format!("slack/{}", chain::payload(&number.to_string())), now, &serde_json::to_string(&reply)?);
    let event = Event::Noted { by: PersonId("alice".into()), text: note("rows", at, number) };
    let payload = serde_json::to_string(&event)?;
    let payload_hash = chain::payload(&payload);
    let hash = chain::next(&head.1, head.0 + 1, now.0, "noted", &payload_hash);
    batch.event(&case, head.0 + 1, now, "noted", [&payload, &payload_hash, &hash]);
    batch.effect(&case, &Effect::render(&case, CardKind::History, now));
    *head = (head.0 + 1, hash);
    Ok(())
}
