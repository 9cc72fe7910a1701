//! The cases in memory. Takes cases from the store; keeps the recently used ones, which are right as
//! long as no other writer was first (the commit notices that).

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use crate::model::id::CaseId;
use crate::persist::Stored;

/// Most cases kept.
const KEPT: usize = 512;
/// Most delivery keys remembered.
const KEYS: usize = 16_384;

/// Which deliveries came lately, by a hash of their key. Forgetting one, or taking two for the same, only
/// costs a question to the store.
#[derive(Default)]
pub(crate) struct Recent {
    hasher: RandomState,
    keys: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Recent {
    /// Whether the key came before; from now on it did.
    pub(crate) fn again(&mut self, key: &str) -> bool {
        let hash = self.hasher.hash_one(key);
        if !self.keys.insert(hash) {
            return true;
        }
        self.order.push_back(hash);
        if self.order.len() > KEYS
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        false
    }
}

#[derive(Default)]
pub(crate) struct Slots {
    cases: HashMap<CaseId, (Stored, u64)>,
    tick: u64,
}

impl Slots {
    pub(crate) fn get(&mut self, id: &CaseId) -> Option<&mut Stored> {
        self.tick += 1;
        let tick = self.tick;
        self.cases.get_mut(id).map(|(stored, used)| {
            *used = tick;
            stored
        })
    }

    pub(crate) fn put(&mut self, stored: Stored) {
        if self.cases.len() >= KEPT {
            self.drop_oldest();
        }
        self.tick += 1;
        self.cases.insert(stored.case.id.clone(), (stored, self.tick));
    }

    /// Forgets everything: another writer was first, or a commit failed.
    pub(crate) fn clear(&mut self) {
        self.cases.clear();
    }

    fn drop_oldest(&mut self) {
        let mut used: Vec<u64> = self.cases.values().map(|(_, u)| *u).collect();
        used.sort_unstable();
        let limit = used.get(KEPT / 4).copied().unwrap_or(0);
        self.cases.retain(|_, (_, u)| *u > limit);
    }
}
