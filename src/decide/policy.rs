//! Who must agree, and whether they did. Takes a policy, the roster and the votes; gives an explanation
//! that the card prints. Pure; one function decides for button, text and every other way in.

use crate::model::approval::{Approval, Policy};
use crate::model::person::{Person, PersonId, Roster};

/// One requirement of a policy and how far it is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub role: String,
    pub count: usize,
    pub agreed: Vec<PersonId>,
    /// Who else could: role holders other than the requester who have not voted.
    pub could: Vec<PersonId>,
}

/// A policy held against the votes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub requirements: Vec<Requirement>,
}

impl Explanation {
    /// Whether everything required is there.
    #[must_use]
    pub fn met(&self) -> bool {
        !self.requirements.is_empty() && self.requirements.iter().all(|r| r.count > 0 && r.agreed.len() >= r.count)
    }

    /// Whether the people who could still agree are enough.
    #[must_use]
    pub fn possible(&self) -> bool {
        !self.requirements.is_empty() && self.requirements.iter().all(|r| r.agreed.len() + r.could.len() >= r.count)
    }

    /// `needs 1 more: dba (Bob or Carol)`.
    #[must_use]
    pub fn text(&self, roster: &Roster) -> String {
        let open: Vec<String> = self
            .requirements
            .iter()
            .filter(|r| r.agreed.len() < r.count)
            .map(|r| {
                let who: Vec<_> = r.could.iter().map(|p| roster.name(p)).collect();
                let who = if who.is_empty() { "nobody in the roster".to_owned() } else { who.join(" or ") };
                format!("{} more: {} ({who})", r.count - r.agreed.len(), r.role)
            })
            .collect();
        if open.is_empty() { "nobody more is needed".to_owned() } else { format!("needs {}", open.join(", and ")) }
    }
}

/// Holds a policy against votes. Only persons of the roster with the role count, never the requester,
/// each once. A person with two of the roles fills one requirement only.
#[must_use]
pub fn explain(policy: &Policy, requester: &PersonId, votes: &[PersonId], roster: &Roster) -> Explanation {
    let counts = |p: &&Person| p.id != *requester;
    let mut used: Vec<PersonId> = Vec::new();
    let mut requirements = Vec::new();
    for quorum in &policy.all_of {
        let holders: Vec<&Person> =
            roster.people.iter().filter(counts).filter(|p| p.roles.contains(&quorum.role)).collect();
        let count = quorum.count as usize;
        let agreed: Vec<PersonId> = holders
            .iter()
            .map(|p| &p.id)
            .filter(|p| votes.contains(p) && !used.contains(p))
            .take(count)
            .cloned()
            .collect();
        used.extend(agreed.iter().cloned());
        let could = holders.iter().map(|p| &p.id).filter(|p| !votes.contains(p)).cloned().collect();
        requirements.push(Requirement { role: quorum.role.clone(), count, agreed, could });
    }
    Explanation { requirements }
}

/// The explanation of an approval as it stands.
#[must_use]
pub fn of(approval: &Approval, roster: &Roster) -> Explanation {
    let votes: Vec<PersonId> = approval.votes.iter().map(|(p, _)| p.clone()).collect();
    explain(&approval.policy, &approval.action.requester, &votes, roster)
}

/// Why this person may not agree, if they may not.
#[must_use]
pub fn refusal(approval: &Approval, person: &Person, roster: &Roster) -> Option<String> {
    if person.id == approval.action.requester {
        return Some(format!(
            "You asked for this step yourself, so somebody else must agree: {}.",
            of(approval, roster).text(roster)
        ));
    }
    let roles: Vec<&str> = approval.policy.all_of.iter().map(|q| q.role.as_str()).collect();
    let holds = person.roles.iter().any(|r| roles.contains(&r.as_str()));
    (!holds).then(|| {
        format!(
            "This needs the role {}; you have {}.",
            roles.join(" or "),
            if person.roles.is_empty() { "none".to_owned() } else { person.roles.join(", ") }
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::approval::Quorum;

    fn person(id: &str, roles: &[&str]) -> Person {
        Person {
            id: PersonId(id.into()),
            name: id.to_uppercase(),
            roles: roles.iter().map(|r| (*r).to_owned()).collect(),
            slack: vec![],
        }
    }

    fn roster() -> Roster {
        Roster {
            home_team: "T".into(),
            people: vec![
                person("alice", &["dba"]),
                person("bob", &["dba", "owner"]),
                person("carol", &["owner"]),
                person("dan", &[]),
            ],
        }
    }

    fn ask(all_of: &[(&str, u32)], votes: &[&str]) -> Explanation {
        let policy = Policy {
            all_of: all_of.iter().map(|(role, count)| Quorum { role: (*role).into(), count: *count }).collect(),
        };
        let votes: Vec<_> = votes.iter().map(|v| PersonId((*v).into())).collect();
        explain(&policy, &PersonId("alice".into()), &votes, &roster())
    }

    #[test]
    fn the_requester_and_people_without_the_role_never_count() {
        assert!(!ask(&[("dba", 1)], &["alice", "dan"]).met());
        assert!(ask(&[("dba", 1)], &["bob"]).met());
    }

    #[test]
    fn one_person_fills_one_requirement() {
        assert!(!ask(&[("dba", 1), ("owner", 1)], &["bob"]).met());
        assert!(ask(&[("dba", 1), ("owner", 1)], &["bob", "carol"]).met());
    }

    #[test]
    fn an_empty_policy_or_a_count_of_zero_is_never_met() {
        assert!(!ask(&[], &["bob"]).met());
        assert!(!ask(&[("dba", 0)], &["bob"]).met());
    }

    #[test]
    fn what_cannot_be_met_is_said() {
        let e = ask(&[("dba", 2)], &[]);
        assert!(!e.possible());
        assert_eq!(e.text(&roster()), "needs 2 more: dba (BOB)");
    }
}
