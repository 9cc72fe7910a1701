//! Supabase: the data API of one project, the Management API, the status page. Facts from the vendor's
//! documents; the data API answers 503 with PostgREST's own text while the database's port is closed.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::functions::Functions;
use super::{Answer, Got};

pub const ANON: &str = "sb_publishable_practice_key";
pub const TOKEN: &str = "sbp_practice_management_token";

/// What Supabase knows.
#[derive(Default)]
pub struct Supabase {
    /// The port of the real database behind the data API.
    pub database: Option<u16>,
    /// Project ref to its `status` word.
    pub projects: BTreeMap<String, String>,
    /// Component of the status page to its state.
    pub components: BTreeMap<String, String>,
    /// A status the data API answers instead of its own.
    pub data_fault: Option<u16>,
    /// The edge functions of every project.
    pub functions: Functions,
}

impl Supabase {
    pub fn answer(&mut self, got: &Got) -> Answer {
        let path: Vec<&str> = got.path.trim_matches('/').split('/').collect();
        match (got.method.as_str(), path.as_slice()) {
            ("GET", ["data", "rest", "v1", table]) => self.table(got, table),
            ("GET", ["data", "rest", "v1"]) => Some((401, json!({"message": "the root needs the secret key"}))),
            ("GET", ["status", "api", "v2", "components.json"]) => Some((200, self.component_list())),
            (_, ["management", "v1", "projects", project, rest @ ..]) => self.management(got, project, rest),
            _ => None,
        }
    }

    fn table(&self, got: &Got, table: &str) -> Answer {
        if got.headers.get("apikey").map(String::as_str) != Some(ANON) {
            return Some((401, json!({"message": "Invalid API key", "hint": "Double check your API key."})));
        }
        if let Some(status) = self.data_fault {
            return Some((
                status,
                json!({"code": "PGRST003", "message": "Timed out acquiring connection from connection pool."}),
            ));
        }
        if !matches!(table, "services" | "calendars") {
            return Some((
                404,
                json!({"code": "42P01", "message": format!("relation \"public.{table}\" does not exist")}),
            ));
        }
        let known = got.query.keys().all(|k| matches!(k.as_str(), "select" | "limit"));
        match (known, self.database.is_some_and(open)) {
            (false, _) => None,
            (true, true) => Some((200, json!([{"id": 1}]))),
            (true, false) => Some((
                503,
                json!({"code": "PGRST000", "details": "connection to server at \"127.0.0.1\", port 5432 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n", "hint": null, "message": "Database connection error. Retrying the connection."}),
            )),
        }
    }

    fn component_list(&self) -> Value {
        let list: Vec<Value> = self
            .components
            .iter()
            .map(|(name, status)| json!({"id": format!("c-{name}"), "name": name, "status": status, "group_id": null}))
            .collect();
        json!({"page": {"id": "p", "name": "Supabase", "url": "https://status.supabase.com"}, "components": list})
    }

    fn management(&mut self, got: &Got, project: &str, rest: &[&str]) -> Answer {
        if got.headers.get("authorization").map(String::as_str) != Some(&format!("Bearer {TOKEN}")) {
            return Some((401, json!({"message": "Unauthorized"})));
        }
        let Some(status) = self.projects.get(project).cloned() else {
            return Some((404, json!({"message": "Project not found"})));
        };
        match (got.method.as_str(), rest) {
            ("GET", []) => Some((
                200,
                json!({"id": project, "ref": project, "name": "booking", "region": "eu-central-1", "status": status}),
            )),
            ("GET", ["health"]) if got.query.contains_key("services") => {
                let services = got.query["services"].split(',').map(|name| {
                    let word = if status == "ACTIVE_HEALTHY" { "ACTIVE_HEALTHY" } else { "UNHEALTHY" };
                    json!({"name": name, "status": word})
                });
                Some((200, Value::Array(services.collect())))
            }
            ("GET", ["health"]) => Some((400, json!({"message": "services is required"}))),
            ("GET", ["functions"]) if got.query.is_empty() => Some((200, self.functions.list())),
            ("GET", ["analytics", "endpoints", "functions.combined-stats"]) => self.functions.stats(got),
            ("GET", ["analytics", "endpoints", "logs"]) => self.functions.logs(got),
            _ => None,
        }
    }
}

fn open(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_millis(500)).is_ok()
}
