//! GitHub: the one workflow that deploys functions. Facts from the vendor's documents; the workflow takes
//! a while, and what it deploys is the commit it was given.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::functions::Functions;
use super::{Answer, Got};

pub const TOKEN: &str = "ghs_practice_installation_token";
pub const WORKFLOW: &str = "/github/repos/booking/saas/actions/workflows/deploy-functions.yml/dispatches";

/// The one that deploys the application for a project.
pub const DEPLOY: &str = "/github/repos/booking/saas/actions/workflows/deploy.yml/dispatches";

const VARIABLES: &str = "/github/repos/booking/saas/actions/variables/";
/// The one that makes a backup.
pub const BACKUP: &str = "/github/repos/booking/saas/actions/workflows/backup.yml/dispatches";

/// What GitHub knows.
#[derive(Default)]
pub struct GitHub {
    /// Project and commit of each deployment of the application.
    pub deployed: Vec<(String, String)>,
    /// Repository variables.
    pub variables: BTreeMap<String, String>,
    /// How often a backup was started.
    pub backed_up: u32,
    /// A status that a dispatch answers instead of its own.
    pub fault: Option<u16>,
}

impl GitHub {
    /// One repository variable. A change says nothing; a name that is not there is no variable.
    fn variable(&mut self, got: &Got, name: &str) -> Answer {
        let Some(value) = self.variables.get_mut(name) else { return Some((404, json!({"message": "Not Found"}))) };
        if !got.query.is_empty() {
            return None;
        }
        if got.method == "GET" {
            return Some((
                200,
                json!({"name": name, "value": value, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}),
            ));
        }
        let body: Value = serde_json::from_str(&got.body).ok()?;
        let keys: Vec<&String> = body.as_object()?.keys().collect();
        if got.method != "PATCH" || keys != ["name", "value"] || body["name"] != name {
            return None;
        }
        if let Some(status) = self.fault {
            return Some((status, json!({"message": "Resource not accessible by integration"})));
        }
        body["value"].as_str()?.clone_into(value);
        Some((204, Value::Null))
    }

    pub fn answer(&mut self, got: &Got, functions: &mut Functions) -> Answer {
        if got.headers.get("authorization").map(String::as_str) != Some(&format!("Bearer {TOKEN}")) {
            return Some((401, json!({"message": "Bad credentials"})));
        }
        if let Some(name) = got.path.strip_prefix(VARIABLES) {
            return self.variable(got, name);
        }
        if got.method != "POST" || ![WORKFLOW, DEPLOY, BACKUP].contains(&got.path.as_str()) || !got.query.is_empty() {
            return None;
        }
        if let Some(status) = self.fault {
            return Some((status, json!({"message": "Resource not accessible by integration"})));
        }
        let body: Value = serde_json::from_str(&got.body).ok()?;
        if got.path == BACKUP {
            self.backed_up += u32::from(body == json!({"ref": "main"}));
            let fits = body == json!({"ref": "main"});
            return Some(if fits {
                (204, Value::Null)
            } else {
                (422, json!({"message": "Unexpected inputs provided"}))
            });
        }
        let keys = |v: &Value| v.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>());
        let inputs = if got.path == DEPLOY { ["project", "sha"] } else { ["function", "sha"] };
        if keys(&body)? != ["inputs", "ref"] || keys(&body["inputs"])? != inputs {
            return Some((422, json!({"message": "Unexpected inputs provided"})));
        }
        // A commit is no ref that a workflow can be run from: only branches and tags are.
        if body["ref"] != "main" {
            return Some((422, json!({"message": "No ref found"})));
        }
        let sha = body["inputs"]["sha"].as_str()?.to_owned();
        if got.path == DEPLOY {
            self.deployed.push((body["inputs"]["project"].as_str()?.to_owned(), sha));
            return Some((204, Value::Null));
        }
        functions.all.get_mut(body["inputs"]["function"].as_str()?)?.coming = Some((sha, 1));
        Some((204, Value::Null))
    }
}
