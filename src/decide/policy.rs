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
    /// Whether all of the roster's others together could meet it.
    pub chance: bool,
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
        !self.requirements.is_empty() && self.chance
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
/// each once: a person with two of the roles fills one requirement, whichever lets most be met.
#[must_use]
pub fn explain(policy: &Policy, requester: &PersonId, votes: &[PersonId], roster: &Roster) -> Explanation {
    let others: Vec<&Person> = roster.people.iter().filter(|p| p.id != *requester).collect();
    let voters: Vec<&Person> = others.iter().copied().filter(|p| votes.contains(&p.id)).collect();
    let places: Vec<usize> = policy
        .all_of
        .iter()
        .enumerate()
        .flat_map(|(i, q)| std::iter::repeat_n(i, q.count.min(MOST) as usize))
        .collect();
    let fits = |place: usize, person: &Person| person.roles.contains(&policy.all_of[places[place]].role);
    let agreed = seat(places.len(), &voters, fits);
    let chance = seat(places.len(), &others, fits).iter().all(Option::is_some);
    let requirements = policy.all_of.iter().enumerate().map(|(i, quorum)| Requirement {
        role: quorum.role.clone(),
        count: quorum.count as usize,
        agreed: places
            .iter()
            .zip(&agreed)
            .filter(|(place, _)| **place == i)
            .filter_map(|(_, who)| who.map(|w| voters[w].id.clone()))
            .collect(),
        could: others
            .iter()
            .filter(|p| p.roles.contains(&quorum.role) && !votes.contains(&p.id))
            .map(|p| p.id.clone())
            .collect(),
    });
    Explanation { requirements: requirements.collect(), chance }
}

/// The largest count of one role that is looked at; more people than that never agree in time.
const MOST: u32 = 16;

/// Gives each place a person who fits, as many places as possible, nobody twice (augmenting paths).
fn seat(places: usize, people: &[&Person], fits: impl Fn(usize, &Person) -> bool) -> Vec<Option<usize>> {
    fn find(
        place: usize,
        seen: &mut [bool],
        seated: &mut [Option<usize>],
        fits: &dyn Fn(usize, usize) -> bool,
    ) -> bool {
        for person in 0..seen.len() {
            if seen[person] || !fits(place, person) {
                continue;
            }
            seen[person] = true;
            let held = seated.iter().position(|s| *s == Some(person));
            if held.is_none_or(|other| find(other, seen, seated, fits)) {
                seated[place] = Some(person);
                return true;
            }
        }
        false
    }
    let mut seated = vec![None; places];
    let fits = |place: usize, person: usize| fits(place, people[person]);
    for place in 0..places {
        find(place, &mut vec![false; people.len()], &mut seated, &fits);
    }
    seated
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
        assert!(ask(&[("owner", 1), ("dba", 1)], &["bob", "carol"]).met(), "whichever role comes first");
        assert!(!ask(&[("dba", 1), ("owner", 2)], &["bob", "carol"]).possible(), "Bob cannot be two people");
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
