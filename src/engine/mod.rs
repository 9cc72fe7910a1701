//! The only place where `decide` and `persist` meet. Takes deliveries; gives replies that are durable
//! when they are given. One committer drains what waits, folds it per case in memory and commits once.

mod committer;
mod slots;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::decide::narrate::{self, Drawn, Scene};
use crate::model::effect::CardKind;
use crate::model::id::CaseId;
use crate::model::inbound::Delivery;
use crate::model::message::Reply;
use crate::model::person::Roster;
use crate::model::runbook::Catalog;
use crate::model::time::Millis;
use crate::model::world::Rules;
use crate::persist::{Store, StoreError};
use crate::redact::Redactor;

/// How long a delivery may wait for its commit before the sender is told to come back.
const PATIENCE: Duration = Duration::from_secs(2);
/// Deliveries that may wait; beyond it new ones are refused at once.
const WAITING: usize = 4_096;

/// What the process starts with.
pub struct Fixed {
    /// The first catalog; `Engine::use_catalog` replaces it.
    pub catalog: Catalog,
    pub roster: Roster,
    pub rules: Rules,
    pub redactor: Redactor,
}

/// Where the catalog stands: replaced whole, never changed.
pub(crate) struct Shelf(RwLock<Arc<Catalog>>);

impl Shelf {
    pub(crate) fn get(&self) -> Arc<Catalog> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why a delivery was not taken. Nothing of it was stored, as far as the sender may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    #[error("too many deliveries are waiting")]
    Full,
    #[error("the store did not commit in time")]
    Slow,
    #[error("the store cannot be written")]
    Store,
}

pub(crate) struct Ask {
    pub(crate) delivery: Delivery,
    pub(crate) answer: oneshot::Sender<Result<Reply, Busy>>,
}

/// The handle everybody submits to.
#[derive(Clone)]
pub struct Engine {
    asks: mpsc::Sender<Ask>,
    store: Store,
    fixed: Arc<Fixed>,
    catalog: Arc<Shelf>,
    /// Rings after every commit that left something to do.
    pub work: Arc<Notify>,
}

impl Engine {
    /// Starts the committer. It ends when every `Engine` is dropped.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn start(store: Store, fixed: Fixed) -> Result<(Engine, tokio::task::JoinHandle<()>), StoreError> {
        let (asks, inbox) = mpsc::channel(WAITING);
        let catalog = Arc::new(Shelf(RwLock::new(Arc::new(fixed.catalog.clone()))));
        let (fixed, work) = (Arc::new(fixed), Arc::new(Notify::new()));
        let committer =
            committer::Committer::new(store.clone(), (Arc::clone(&fixed), Arc::clone(&catalog)), Arc::clone(&work))
                .await?;
        let task = tokio::spawn(committer.run(inbox));
        Ok((Engine { asks, store, fixed, catalog, work }, task))
    }

    /// Submits a delivery; the reply is given after its commit, or is the stored one of a repeat.
    ///
    /// # Errors
    /// The delivery could not be committed in time; the sender must try again.
    pub async fn submit(&self, mut delivery: Delivery) -> Result<Reply, Busy> {
        self.fixed.redactor.delivery(&mut delivery);
        let (answer, reply) = oneshot::channel();
        self.asks.try_send(Ask { delivery, answer }).map_err(|_| Busy::Full)?;
        match tokio::time::timeout(PATIENCE, reply).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(Busy::Store),
            Err(_) => Err(Busy::Slow),
        }
    }

    /// Draws a card from what is stored now. `after` is the last event the history already shows.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn draw(
        &self,
        id: &CaseId,
        kind: CardKind,
        now: Millis,
    ) -> Result<(crate::model::case::Case, Option<Drawn>), StoreError> {
        let stored = self.store.case(id).await?;
        let mut world = self.store.world().await?;
        world.rules = self.fixed.rules.clone();
        let after = stored.case.cards.get(&kind).map_or(0, |c| c.upto);
        let entries = match kind {
            CardKind::History => self.store.history(id, after, 200).await?,
            CardKind::Main => Vec::new(),
        };
        let catalog = self.catalog.get();
        let scene = Scene { case: &stored.case, world: &world, catalog: &catalog, roster: &self.fixed.roster, now };
        let drawn = narrate::card(&scene, kind, &entries);
        Ok((stored.case, drawn))
    }

    /// The catalog in use.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.get()
    }

    /// Uses another catalog for everything decided or drawn from now on. Runs keep the copy they pinned.
    pub fn use_catalog(&self, catalog: Catalog) {
        *self.catalog.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
    }

    /// The redactor, for outcomes before they are submitted.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.fixed.redactor
    }
}
