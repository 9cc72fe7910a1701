//! What the two scenarios about Stripe share: the stage with Stripe and the application, and short words for
//! what people do and see.

use drbot::practice::slack::plain_text;

use crate::saas::{Saas, rights};
use crate::vendors::Got;
use crate::vendors::app::SECRET;
use crate::vendors::stripe::{ENDPOINT, KEY};
use crate::world::{CHANNEL, LIMIT, user};

pub const URL: &str = "https://practice.supabase.example/functions/v1/stripe-webhook";
pub const SIGNING: &str = "whsec_practice_signing_secret";

pub struct Stage {
    pub saas: Saas,
    runbook: &'static str,
}

impl Stage {
    /// Everything is well; `values` are this installation's parameters.
    pub async fn start(runbook: &'static str, values: &[(&str, &str)]) -> Stage {
        Stage::edited(runbook, values, &[]).await
    }

    /// The same with pieces of the runbook replaced, such as times that a test cannot wait for.
    pub async fn edited(runbook: &'static str, values: &[(&str, &str)], edits: &[(&str, &str)]) -> Stage {
        let saas = Saas::start(runbook, &rights(runbook), |w, vendors| {
            vendors.with(|b| {
                b.stripe.endpoints.insert(ENDPOINT.into(), ("enabled".into(), URL.into()));
                b.app.signing = vec![SIGNING.into()];
                for n in 1..=8 {
                    b.stripe.account(&format!("acct_practice{n}"), None, &[]);
                }
            });
            w.more_targets.push(vendors.target("stripe", "stripe", ("Authorization", &format!("Bearer {KEY}"))));
            w.more_targets.push(vendors.target("app", "app", ("X-Stranger", "yes")));
            w.more_targets.push(vendors.target("app-admin", "app", ("apikey", SECRET)));
            let file = w.runbooks.join(format!("{runbook}.yaml"));
            let mut text = std::fs::read_to_string(&file).expect("the runbook");
            for (old, new) in edits {
                assert!(text.contains(old), "{old} is not in the runbook");
                text = text.replace(old, new);
            }
            std::fs::write(&file, text).expect("written");
            w.parameters = values.iter().map(|(n, v)| (runbook.into(), (*n).into(), (*v).into())).collect();
        })
        .await;
        Stage { saas, runbook }
    }

    /// Asks for the status until this scenario shows the wanted word; gives its part of the card.
    pub async fn status(&self, scenario: &str, word: &str) -> String {
        let until = tokio::time::Instant::now() + LIMIT;
        loop {
            self.saas.world.say("alice", "status").await;
            let card = self.saas.world.see(|t| t.contains(scenario) && !t.contains("hecking")).await;
            self.saas.world.slack.delete(CHANNEL, &card.ts);
            let text = plain_text(&card);
            let from = text.find(&format!("{scenario} ")).unwrap_or(0);
            let part = text[text[..from].rfind('\n').unwrap_or(0)..].to_owned();
            if part.contains(word) {
                return part;
            }
            assert!(tokio::time::Instant::now() < until, "never {word}: {text}");
        }
    }

    pub async fn declare(&self) {
        self.saas.world.say("alice", &format!("declare {}", self.runbook)).await;
    }

    pub async fn run(&self, given: &str) {
        let said = self.saas.world.say("alice", &format!("run {} {given}", self.runbook)).await;
        assert!(said.starts_with("Started"), "{said}");
    }

    /// A person says that they did this step.
    pub async fn done(&self, step: &str) {
        self.saas.see(|t| t.contains(&format!("Or type: /dr done {step}"))).await;
        let said = self.saas.world.say("bob", &format!("done {step} seen and done")).await;
        assert!(said.contains("is done"), "{said}");
    }

    /// Waits until the card of this incident shows this part.
    pub async fn card(&self, incident: &str, part: &str) -> String {
        self.saas.see(|t| t.contains(&format!("{incident} ")) && t.contains(part)).await
    }

    /// Waits until this many runs ended unproved.
    pub async fn unproved(&self, runs: usize) {
        let said = || -> usize {
            // In the history alone: the card says it as well, until the run goes on.
            let all = self.saas.world.slack.messages(CHANNEL).into_iter().filter(|m| m.thread_ts.is_some());
            all.map(|m| plain_text(&m).matches("verification did not pass").count()).sum()
        };
        let seen = self.saas.world.slack.wait(LIMIT, || (said() == runs).then_some(())).await;
        let all: Vec<String> = self.saas.world.slack.messages(CHANNEL).iter().map(plain_text).collect();
        assert!(seen.is_some(), "{} runs ended unproved, not {runs}: {}", said(), all.join("\n---\n"));
    }

    /// What `/dr show STEP` answers, blocks and all.
    pub async fn shown(&self, step: &str) -> String {
        self.saas.world.slack.slash(&user("alice"), CHANNEL, &format!("show {step}")).await.body
    }

    /// The changes that a vendor got with this in their path, in order.
    pub fn calls(&self, part: &str) -> Vec<Got> {
        self.saas.vendors.changes().into_iter().filter(|g| g.path.contains(part)).collect()
    }

    /// Waits until there were so many of them.
    pub async fn called(&self, part: &str, times: usize) {
        let there = self.saas.world.slack.wait(LIMIT, || (self.calls(part).len() == times).then_some(())).await;
        assert!(there.is_some(), "{} calls of {part}, not {times}", self.calls(part).len());
    }

    /// What must hold at the end: nobody objected, nothing was too fast or went nowhere, and Stripe always
    /// knew the version that was meant.
    pub fn finish(&self) {
        self.saas.vendors.with(|b| {
            assert_eq!((b.stripe.throttled, b.stripe.unheard.len()), (0, 0));
            let calls = b.requests.iter().filter(|g| g.path.starts_with("/stripe/"));
            assert!(calls.clone().count() > 0 && calls.clone().all(|g| g.headers.contains_key("stripe-version")));
        });
        self.saas.finish();
    }
}

/// A POST as somebody would send it by hand.
pub fn post(path: &str, headers: &[(&str, &str)], body: &str) -> Got {
    Got {
        method: "POST".into(),
        path: path.into(),
        query: Default::default(),
        headers: headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        body: body.into(),
    }
}
