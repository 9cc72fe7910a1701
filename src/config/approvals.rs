//! Who must agree: the built-in table, tightened by the configuration. Takes the configured parts; gives
//! one policy for each tier and risk, and what is wrong with them.

use std::collections::BTreeMap;

use super::{Approvals, TierPolicies};
use crate::model::approval::{Policy, Quorum};
use crate::model::runbook::Risk;

/// How many others than the requester must agree at least: two before data of tier 1 can be lost.
fn least(tier: u8, risk: Risk) -> u32 {
    match (risk, tier) {
        (Risk::Safe, _) => 0,
        (Risk::Destructive, 1) => 2,
        (Risk::Disruptive | Risk::Destructive, _) => 1,
    }
}

impl Approvals {
    /// One policy for each tier and each risk that needs one.
    pub(super) fn table(&self) -> BTreeMap<(u8, Risk), Policy> {
        let of = |(tier, own): (u8, &TierPolicies), risk: Risk| {
            let given = match risk {
                Risk::Safe => None,
                Risk::Disruptive => own.disruptive.as_ref().or(self.disruptive.as_ref()),
                Risk::Destructive => own.destructive.as_ref().or(self.destructive.as_ref()),
            };
            let built_in = || Policy { all_of: vec![Quorum { role: "responder".into(), count: least(tier, risk) }] };
            ((tier, risk), given.cloned().unwrap_or_else(built_in))
        };
        let tiers = [(1, &self.tier_1), (2, &self.tier_2), (3, &self.tier_3)];
        tiers.into_iter().flat_map(|t| [of(t, Risk::Disruptive), of(t, Risk::Destructive)]).collect()
    }

    /// Everything that would loosen the built-in table.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = Vec::new();
        for ((tier, risk), policy) in self.table() {
            let word = risk.word();
            if policy.all_of.is_empty() || policy.all_of.iter().any(|q| q.count == 0) {
                faults.push(format!(
                    "approvals.{word} must name at least one role with a count of at least 1: it may tighten the built-in rule, not loosen it"
                ));
            } else if policy.all_of.iter().map(|q| q.count).sum::<u32>() < least(tier, risk) {
                faults.push(format!(
                    "approvals: {word} steps of tier {tier} need at least {} people: it may tighten the built-in rule, not loosen it; set approvals.tier_{tier}.{word}",
                    least(tier, risk)
                ));
            }
        }
        // A policy for all tiers is wrong once, not once a tier.
        faults.sort();
        faults.dedup();
        faults
    }
}
