//! n8n: one workflow and its executions. Facts from its public API's description: there is no call that
//! executes a workflow, and a production webhook answers 200 as soon as it has begun.

use serde_json::{Value, json};

use super::{Answer, Got};

pub const KEY: &str = "n8n_practice_api_key";
pub const WORKFLOW: &str = "wf1WhatsAppBooking";

/// What n8n knows.
#[derive(Default)]
pub struct N8n {
    pub active: bool,
    /// Its database does not answer.
    pub not_ready: bool,
    /// A status that a change answers instead of its own.
    pub change_fault: Option<u16>,
    /// Status of each execution, oldest first.
    pub executions: Vec<&'static str>,
    /// What runs of the workflow did to real people.
    pub side_effects: u32,
}

impl N8n {
    pub fn answer(&mut self, got: &Got) -> Answer {
        let path: Vec<&str> = got.path.trim_matches('/').split('/').skip(1).collect();
        match (got.method.as_str(), path.as_slice()) {
            ("GET", ["healthz"]) => Some((200, json!({"status": "ok"}))),
            ("GET", ["healthz", "readiness"]) if self.not_ready => Some((503, json!({"status": "error"}))),
            ("GET", ["healthz", "readiness"]) => Some((200, json!({"status": "ok"}))),
            ("POST", ["webhook", "whatsapp"]) => Some(self.webhook()),
            (_, ["api", "v1", rest @ ..]) => self.api(got, rest),
            _ => None,
        }
    }

    /// The answer says only that it has begun.
    fn webhook(&mut self) -> (u16, Value) {
        if !self.active {
            return (
                404,
                json!({"code": 404, "message": "The requested webhook \"POST whatsapp\" is not registered."}),
            );
        }
        self.side_effects += 1;
        self.executions.push("error");
        (200, json!({"message": "Workflow was started"}))
    }

    fn api(&mut self, got: &Got, rest: &[&str]) -> Answer {
        if got.headers.get("x-n8n-api-key").map(String::as_str) != Some(KEY) {
            return Some((401, json!({"message": "unauthorized"})));
        }
        match (got.method.as_str(), rest) {
            ("GET", ["workflows", id]) if got.query.is_empty() => Some(self.workflow(id)),
            ("GET", ["executions"]) => self.list(got),
            ("POST", ["workflows", id, verb @ ("activate" | "deactivate")]) => {
                if let Some(status) = self.change_fault {
                    return Some((status, json!({"message": "There is a conflict with one of the webhooks."})));
                }
                if *id == WORKFLOW {
                    self.active = *verb == "activate";
                }
                Some(self.workflow(id))
            }
            _ => None,
        }
    }

    fn workflow(&self, id: &str) -> (u16, Value) {
        if id != WORKFLOW {
            return (404, json!({"message": "Not Found"}));
        }
        (200, json!({"id": id, "name": "WhatsApp Booking Assistant", "active": self.active, "nodes": []}))
    }

    /// Newest first.
    fn list(&self, got: &Got) -> Answer {
        let known =
            ["status", "workflowId", "includeData", "limit", "cursor", "startedAfter", "startedBefore", "projectId"];
        let states = ["error", "crashed", "canceled", "running", "success", "waiting", "new", "unknown"];
        let limit: usize = got.query.get("limit").map_or(Ok(100), |l| l.parse()).ok()?;
        let status = got.query.get("status");
        let fits = got.query.keys().all(|k| known.contains(&k.as_str()))
            && status.is_none_or(|s| states.contains(&s.as_str()))
            && limit <= 250;
        if !fits || got.query.get("workflowId").map(String::as_str) != Some(WORKFLOW) {
            return None;
        }
        let row = |(i, state): (usize, &&str)| {
            let at = |s: u32| format!("2026-11-22T10:{:02}:{s:02}.000Z", i % 60);
            json!({"id": (1000 + i).to_string(), "finished": **state == *"success", "mode": "webhook", "status": state, "startedAt": at(1), "stoppedAt": at(2), "workflowId": WORKFLOW})
        };
        let all = self.executions.iter().enumerate().rev();
        let data: Vec<Value> =
            all.filter(|(_, s)| status.is_none_or(|wanted| wanted == *s)).take(limit).map(row).collect();
        Some((200, json!({"data": data, "nextCursor": null})))
    }
}
