//! What a page over the practice Slack needs besides. Takes the running workspace; gives its channels,
//! its changes and its faults, and lets a person close a modal.

use tokio::sync::watch;

use super::state::{Channel, Private};
use super::{Fault, Practice};

/// What goes wrong on purpose just now, and what was objected to.
#[derive(Debug, Clone)]
pub struct Troubles {
    /// Method, fault, and whether it stays.
    pub faults: Vec<(String, Fault, bool)>,
    pub limited: bool,
    pub down: bool,
    pub violations: Vec<String>,
}

impl Practice {
    /// A number that grows with every change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.version.subscribe()
    }

    /// Lets the page look again, for changes made through the control methods.
    pub fn touch(&self) {
        self.inner.changed();
    }

    /// All channels by id, with their messages.
    #[must_use]
    pub fn channels(&self) -> Vec<(String, Channel)> {
        let state = self.inner.state();
        state.channels.iter().map(|(id, channel)| (id.clone(), channel.clone())).collect()
    }

    /// Every message that only one person saw, oldest first.
    #[must_use]
    pub fn all_privates(&self) -> Vec<Private> {
        self.inner.state().privates.clone()
    }

    /// The faults as they are set.
    #[must_use]
    pub fn troubles(&self) -> Troubles {
        let down = self.server().is_none();
        let state = self.inner.state();
        let next = state.next_faults.iter().flat_map(|(m, list)| list.iter().map(|f| (m.clone(), f.clone(), false)));
        let staying = state.faults.iter().map(|(m, f)| (m.clone(), f.clone(), true));
        Troubles {
            faults: next.chain(staying).collect(),
            limited: state.spacing.is_some(),
            down,
            violations: state.violations.clone(),
        }
    }

    /// A person closes a modal without sending it. Gives whether it was theirs and open.
    pub fn close(&self, user: &str, view: &str) -> bool {
        let mut state = self.inner.state();
        let found = state.views.iter_mut().find(|v| v.id == view && v.user == user && v.open);
        let closed = found.map(|v| v.open = false).is_some();
        drop(state);
        self.inner.changed();
        closed
    }
}
