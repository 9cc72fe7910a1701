//! The committer: load, decide, commit, answer. Takes a batch of deliveries; on any surprise the batch is
//! done again one by one, so that one delivery's trouble is never another's.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use tracing::{error, warn};

use super::slots::{Recent, Slots};
use super::{Ask, Busy, Fixed, Shelf};
use crate::clock;
use crate::decide::{
    self,
    route::{self, Route},
};
use crate::model::alert::Alarm;
use crate::model::id::{CaseId, Ids};
use crate::model::inbound::{Delivery, Input};
use crate::model::message::Reply;
use crate::model::time::Millis;
use crate::model::world::{Decision, Guard, Held, Open, World};
use crate::persist::{Batch, CommitError, Store, StoreError, Stored, chain};

/// Most deliveries in one commit.
const MOST: usize = 256;
/// A case is folded into its snapshot again after this many events.
const FOLD: u64 = 64;
/// How often a delivery is decided anew when somebody else was first.
const TRIES: u32 = 5;

pub(crate) struct Committer {
    store: Store,
    fixed: Arc<Fixed>,
    catalog: Arc<Shelf>,
    work: Arc<Notify>,
    slots: Slots,
    recent: Recent,
    world: World,
    /// The newest time ever stored: decisions never happen before it.
    high: Millis,
    /// The world in memory holds what was never stored, and could not be read again yet.
    stale: bool,
}

/// What a batch adds up to while it is being made.
#[derive(Default)]
struct Making {
    batch: Batch,
    replies: Vec<Result<Reply, Busy>>,
    /// Replies given inside this batch, for a repeat in the same batch.
    given: HashMap<String, Reply>,
    rings: bool,
}

/// Whether a batch is taken to hold deliveries that were stored before this process came up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeats {
    Unlikely,
    Possible,
}

enum Trouble {
    /// Another writer was first, or the batch must be stored before one of its deliveries is decided.
    Raced,
    Store(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(e: StoreError) -> Trouble {
        Trouble::Store(e)
    }
}

impl Committer {
    pub(crate) async fn new(
        store: Store,
        shared: (Arc<Fixed>, Arc<Shelf>),
        work: Arc<Notify>,
    ) -> Result<Committer, StoreError> {
        let high = store.newest().await?;
        let (slots, recent, world) = (Slots::default(), Recent::default(), World::default());
        let (fixed, catalog) = shared;
        let mut it = Committer { store, fixed, catalog, work, slots, recent, world, high, stale: true };
        it.reload().await?;
        Ok(it)
    }

    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Ask>) {
        let mut asks = Vec::with_capacity(MOST);
        while inbox.recv_many(&mut asks, MOST).await > 0 {
            let (deliveries, answers): (Vec<_>, Vec<_>) = asks.drain(..).map(|a| (a.delivery, a.answer)).unzip();
            let replies = self.batch(&deliveries).await;
            for (answer, reply) in answers.into_iter().zip(replies) {
                // The asker may have stopped waiting; what it asked for is stored all the same.
                let _ = answer.send(reply);
            }
        }
    }

    async fn batch(&mut self, deliveries: &[Delivery]) -> Vec<Result<Reply, Busy>> {
        if let Ok(replies) = self.attempt(deliveries, Repeats::Unlikely).await {
            return replies;
        }
        let mut replies = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            replies.push(self.single(delivery).await);
        }
        replies
    }

    async fn single(&mut self, delivery: &Delivery) -> Result<Reply, Busy> {
        for attempt in 1..=TRIES {
            match self.attempt(std::slice::from_ref(delivery), Repeats::Possible).await {
                Ok(mut replies) => return replies.pop().unwrap_or(Err(Busy::Store)),
                Err(Trouble::Raced) => warn!(attempt, delivery.key, "another writer was first; deciding again"),
                Err(Trouble::Store(e)) => {
                    error!(error = %e, delivery.key, "not committed");
                    return Err(Busy::Store);
                }
            }
        }
        Err(Busy::Store)
    }

    /// One try at a whole batch. On trouble nothing is stored and everything in memory is forgotten.
    async fn attempt(
        &mut self,
        deliveries: &[Delivery],
        repeats: Repeats,
    ) -> Result<Vec<Result<Reply, Busy>>, Trouble> {
        let now = Millis(clock::now().0.max(self.high.0));
        let result = self.make(deliveries, now, repeats).await;
        let made = match result {
            Ok(made) => made,
            Err(e) => return Err(self.forget(e).await),
        };
        if !made.batch.is_empty() {
            if let Err(e) = self.store.commit(&made.batch).await {
                let trouble = match e {
                    CommitError::Conflict(_) => Trouble::Raced,
                    CommitError::Store(e) => {
                        exit_if_the_disk_lies(&e);
                        Trouble::Store(e)
                    }
                };
                return Err(self.forget(trouble).await);
            }
            self.high = now;
        }
        if made.rings {
            self.work.notify_one();
        }
        Ok(made.replies)
    }

    async fn forget(&mut self, trouble: Trouble) -> Trouble {
        self.slots.clear();
        match self.reload().await {
            Ok(()) => trouble,
            Err(e) => Trouble::Store(e),
        }
    }

    async fn reload(&mut self) -> Result<(), StoreError> {
        self.stale = true;
        self.world = self.store.world().await?;
        self.world.rules = self.fixed.rules.clone();
        self.stale = false;
        Ok(())
    }

    async fn make(&mut self, deliveries: &[Delivery], now: Millis, repeats: Repeats) -> Result<Making, Trouble> {
        if self.store.shared() {
            // A decision without events meets no conflict, so it must not rest on an old case either.
            self.slots.clear();
        }
        if self.store.shared() || self.stale {
            self.reload().await?;
        }
        let known = self.known(deliveries, repeats).await?;
        let mut making = Making::default();
        let mut ids = clock::ids().map_err(|e| StoreError::Refused(format!("no randomness: {e}")))?;
        for delivery in deliveries {
            let stored = known.get(&delivery.key).map(|r| serde_json::from_str(r).unwrap_or(Reply::Nothing));
            let reply = match stored.or_else(|| making.given.get(&delivery.key).cloned()) {
                Some(reply) => reply,
                None => self.one(delivery, now, &mut ids, &mut making).await?,
            };
            making.given.insert(delivery.key.clone(), reply.clone());
            making.replies.push(Ok(reply));
        }
        Ok(making)
    }

    /// The stored replies of repeats. Most deliveries are new, so the store is only asked when this process
    /// has seen one of them; a repeat that it has not seen breaks the uniqueness of its key at the commit,
    /// and the batch is done again one by one, asking.
    async fn known(
        &mut self,
        deliveries: &[Delivery],
        repeats: Repeats,
    ) -> Result<HashMap<String, String>, StoreError> {
        let mut seen = false;
        for delivery in deliveries {
            seen |= self.recent.again(&delivery.key);
        }
        if !seen && repeats == Repeats::Unlikely && !self.store.shared() {
            return Ok(HashMap::new());
        }
        let keys: Vec<&str> = deliveries.iter().map(|d| d.key.as_str()).collect();
        self.store.replies(&keys).await
    }

    /// Decides one delivery and adds what follows to the batch.
    async fn one(
        &mut self,
        delivery: &Delivery,
        now: Millis,
        ids: &mut Ids,
        making: &mut Making,
    ) -> Result<Reply, Trouble> {
        let (fixed, catalog) = (Arc::clone(&self.fixed), self.catalog.get());
        let id = self.place(&delivery.input, ids).await?;
        let decision = match &id {
            None => decide::decide(None, &self.world, &delivery.input, now, ids, &catalog, &fixed.roster),
            Some(id) => {
                self.load(id).await?;
                if route::wants_history(&delivery.input) {
                    if !making.batch.is_empty() {
                        // The history is read from the store, so what this batch adds must be there first.
                        return Err(Trouble::Raced);
                    }
                    self.world.history = self.store.history(id, 0, 10_000).await?;
                }
                if route::may_begin(&delivery.input) && catalog.keeps() {
                    let began = self.slots.get(id).and_then(|s| s.case.incident()).map_or(now, |i| i.declared.began);
                    self.world.kept = self.store.kept(began).await?;
                }
                let case = self.slots.get(id).map(|s| &s.case);
                if case.is_some_and(|c| c.seq > 0) && *id == CaseId::incident(self.world.last_number + 1) {
                    // Declared by another engine since the world was read.
                    return Err(Trouble::Raced);
                }
                let decision = decide::decide(case, &self.world, &delivery.input, now, ids, &catalog, &fixed.roster);
                self.world.history.clear();
                self.world.kept.clear();
                decision
            }
        };
        let reply = decision.reply.clone().unwrap_or(Reply::Nothing);
        making.batch.delivery(&delivery.key, now, &serde_json::to_string(&reply).unwrap_or_default());
        let control = CaseId(route::CONTROL.into());
        self.add(&id.unwrap_or(control), decision, now, ids, making)?;
        Ok(reply)
    }

    async fn place(&mut self, input: &Input, ids: &mut Ids) -> Result<Option<CaseId>, Trouble> {
        Ok(match route::route(input, &self.world, ids, &self.fixed.roster) {
            Route::Case(id) => Some(id),
            Route::Handle(handle) => self.store.case_of(&handle).await?,
            Route::Nowhere => None,
        })
    }

    async fn load(&mut self, id: &CaseId) -> Result<(), Trouble> {
        if self.slots.get(id).is_none() {
            let stored = self.store.case(id).await?;
            self.slots.put(stored);
        }
        Ok(())
    }

    /// Applies a decision to the case in memory and writes its rows into the batch.
    fn add(
        &mut self,
        id: &CaseId,
        decision: Decision,
        now: Millis,
        ids: &mut Ids,
        making: &mut Making,
    ) -> Result<(), Trouble> {
        let batch = &mut making.batch;
        making.rings |= !decision.effects.is_empty() || !decision.finished.is_empty();
        for (key, generation) in &decision.finished {
            batch.finished(key, *generation);
        }
        for effect in &decision.effects {
            batch.effect(id, effect);
        }
        for handle in &decision.handles {
            batch.handle(handle, id, now);
        }
        for sample in &decision.samples {
            batch.sample(&ids.hex(), now, sample);
            self.world.streaks.insert(sample.runbook.clone(), sample.streak);
        }
        for kept in &decision.kept {
            batch.kept(&ids.hex(), now, kept);
        }
        for guard in &decision.guards {
            match guard {
                Guard::Take(name) => {
                    batch.take(name, id, now);
                    let held = Held { case: id.clone(), since: now };
                    self.world.locks.entry(name.clone()).and_modify(|h| h.case = id.clone()).or_insert(held);
                }
                Guard::Release(name) => {
                    batch.release(name, id);
                    self.world.locks.remove(name);
                }
            }
        }
        if decision.events.is_empty() {
            return Ok(());
        }
        let stored = self.slots.get(id).ok_or(Trouble::Raced)?;
        for event in &decision.events {
            push(stored, event, now, batch)?;
        }
        if stored.case.seq >= stored.snapshot + FOLD {
            let state = serde_json::to_string(&stored.case).map_err(|e| StoreError::Refused(e.to_string()))?;
            batch.snapshot(id, stored.case.seq, &stored.hash, &state);
            stored.snapshot = stored.case.seq;
        }
        let rings = stored.case.alarm().and_then(Alarm::ringing);
        if stored.case.alarm().is_some() && self.world.ringing.get(id) != rings.as_ref() {
            batch.ringing(id, rings.as_ref());
            match rings {
                Some(rings) => self.world.ringing.insert(id.clone(), rings),
                None => self.world.ringing.remove(id),
            };
        }
        if let Some(open) = Open::of(&stored.case).filter(|o| self.world.open.get(id) != Some(o)) {
            batch.incident(&open);
            self.world.last_number = self.world.last_number.max(open.number);
            self.world.open.insert(id.clone(), open);
        }
        Ok(())
    }
}

fn push(
    stored: &mut Stored,
    event: &crate::model::event::Event,
    now: Millis,
    batch: &mut Batch,
) -> Result<(), Trouble> {
    let inconsistent = |what: String| StoreError::Inconsistent {
        table: "events",
        column: "payload",
        row: "about to be stored".into(),
        what,
    };
    stored.case.apply(event, now).map_err(|e| inconsistent(e.0))?;
    let payload = serde_json::to_string(event).map_err(|e| inconsistent(e.to_string()))?;
    let (kind, payload_hash) = (event.kind(), chain::payload(&payload));
    let hash = chain::next(&stored.hash, stored.case.seq, now.0, kind, &payload_hash);
    batch.event(&stored.case.id, stored.case.seq, now, kind, [&payload, &payload_hash, &hash]);
    stored.hash = hash;
    Ok(())
}

/// After a failed sync nobody knows what is on disk: the process ends at once and starts from what is.
fn exit_if_the_disk_lies(error: &StoreError) {
    if error.to_string().contains("disk I/O error") {
        error!(error = %error, "the disk failed a write or sync; ending so that the next start reads what is really there");
        std::process::exit(74);
    }
}
