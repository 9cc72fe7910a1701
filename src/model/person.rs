//! Who people are: immutable chat ids to persons, persons to roles. Names decide nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A person's id in the roster, such as `alice`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PersonId(pub String);

/// Who spoke, as the chat platform's signed request says: immutable ids only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Speaker {
    pub team: String,
    pub user: String,
}

/// One human; several chat accounts are still one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    pub id: PersonId,
    pub name: String,
    #[serde(default)]
    pub roles: Vec<String>,
    /// Slack member ids of the home team.
    #[serde(default)]
    pub slack: Vec<String>,
}

/// Everybody who may do more than read, with the version that decisions are bound to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Roster {
    pub home_team: String,
    pub people: Vec<Person>,
}

impl Roster {
    /// The person behind an account of the home team, if the roster knows one. Accounts of another
    /// team are nobody, whatever their user id.
    #[must_use]
    pub fn person(&self, speaker: &Speaker) -> Option<&Person> {
        (speaker.team == self.home_team).then(|| self.people.iter().find(|p| p.slack.contains(&speaker.user))).flatten()
    }

    /// The person with this id.
    #[must_use]
    pub fn by_id(&self, id: &PersonId) -> Option<&Person> {
        self.people.iter().find(|p| p.id == *id)
    }

    /// The name to show for a person id, or the id itself when the roster lost the person.
    #[must_use]
    pub fn name(&self, id: &PersonId) -> String {
        self.by_id(id).map_or_else(|| id.0.clone(), |p| p.name.clone())
    }
}
