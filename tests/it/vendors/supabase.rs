//! Supabase: the data API of one project, the Management API, the status page. Facts from the vendor's
//! documents; the data API answers 503 with PostgREST's own text while the database's port is closed.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::functions::Functions;
use super::{Answer, Got};

pub const ANON: &str = "sb_publishable_practice_key";
pub const REF: &str = "abcdefghijklmnopqrst";
/// The ref that a new project gets.
pub const SPARE: &str = "zyxwvutsrqponmlkjihg";
pub const SECRET: &str = "sb_secret_practice_admin_key";
pub const TOKEN: &str = "sbp_practice_management_token";

/// What Supabase knows.
#[derive(Default)]
pub struct Supabase {
    /// The port of the real database behind the data API.
    pub database: Option<u16>,
    /// Project ref to its `status` word.
    pub projects: BTreeMap<String, String>,
    /// Project ref to its name, where it is another than the live one's.
    pub names: BTreeMap<String, String>,
    /// Database passwords that projects were made with.
    pub passwords: Vec<String>,
    /// Component of the status page to its state.
    pub components: BTreeMap<String, String>,
    /// How often a project was restarted.
    pub restarts: u32,
    /// A status the data API answers instead of its own.
    pub data_fault: Option<u16>,
    /// What the backups API answers instead of its own.
    pub backups: Option<Value>,
    /// Project ref to its restore points and their state.
    pub restore_points: BTreeMap<String, BTreeMap<String, String>>,
    /// User id to the last `ban_duration` that was set.
    pub bans: BTreeMap<String, String>,
    /// The points in time that projects were rewound to and not brought back from.
    pub rewinds: Vec<u64>,
    /// A status that every change of the Management and Auth APIs answers instead of its own.
    pub change_fault: Option<u16>,
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
            ("PUT", ["auth", "auth", "v1", "admin", "users", id]) => self.ban(got, id),
            (_, ["management", "v1", "projects"]) => self.all_projects(got),
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

    /// The Auth admin API; a ban is a Go duration, and `none` lifts it.
    fn ban(&mut self, got: &Got, id: &str) -> Answer {
        if got.headers.get("apikey").map(String::as_str) != Some(SECRET) {
            return Some((401, json!({"message": "Invalid API key"})));
        }
        let body: Value = serde_json::from_str(&got.body).ok()?;
        let json_type = got.headers.get("content-type").map(String::as_str) == Some("application/json");
        let duration = body.get("ban_duration")?.as_str()?;
        let known = duration == "none" || duration.strip_suffix('h').is_some_and(|h| h.parse::<u32>().is_ok());
        if !json_type || !known || body.as_object()?.len() != 1 || !got.query.is_empty() {
            return None;
        }
        if let Some(status) = self.change_fault {
            return Some((status, json!({"msg": "It went wrong on our side"})));
        }
        self.bans.insert(id.to_owned(), duration.to_owned());
        Some((200, json!({"id": id, "aud": "authenticated"})))
    }

    fn component_list(&self) -> Value {
        let list: Vec<Value> = self
            .components
            .iter()
            .map(|(name, status)| json!({"id": format!("c-{name}"), "name": name, "status": status, "group_id": null}))
            .collect();
        json!({"page": {"id": "p", "name": "Supabase", "url": "https://status.supabase.com"}, "components": list})
    }

    /// The list of projects, and a new one. It is coming up when it is made, and up at the next look.
    fn all_projects(&mut self, got: &Got) -> Answer {
        if got.headers.get("authorization").map(String::as_str) != Some(&format!("Bearer {TOKEN}")) {
            return Some((401, json!({"message": "Unauthorized"})));
        }
        let name = |r: &String| self.names.get(r).cloned().unwrap_or_else(|| "booking".to_owned());
        let shown = |(r, state): (&String, &String)| json!({"id": r, "ref": r, "name": name(r), "region": "eu-central-1", "status": state});
        if got.method == "GET" && got.query.is_empty() {
            let all: Vec<Value> = self.projects.iter().map(shown).collect();
            for state in self.projects.values_mut().filter(|s| *s == "COMING_UP") {
                "ACTIVE_HEALTHY".clone_into(state);
            }
            return Some((200, Value::Array(all)));
        }
        let body: Value = serde_json::from_str(&got.body).ok()?;
        let json_type = got.headers.get("content-type").map(String::as_str) == Some("application/json");
        let keys: Vec<&String> = body.as_object()?.keys().collect();
        let wanted = ["db_pass", "desired_instance_size", "name", "organization_slug", "region"];
        if got.method != "POST" || !json_type || keys != wanted {
            return None;
        }
        if let Some(status) = self.change_fault {
            return Some((status, json!({"message": "It went wrong on our side"})));
        }
        self.passwords.push(body["db_pass"].as_str()?.to_owned());
        let made = SPARE.to_owned();
        self.names.insert(made.clone(), body["name"].as_str()?.to_owned());
        self.projects.insert(made.clone(), "COMING_UP".to_owned());
        Some((
            201,
            json!({"id": made, "ref": made, "name": body["name"], "region": body["region"], "status": "COMING_UP"}),
        ))
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
            ("GET", ["config", "disk", "util"]) => Some((
                200,
                json!({"metrics": {"fs_size_bytes": 8_000_000_000_u64, "fs_avail_bytes": 3_000_000_000_u64, "fs_used_bytes": 5_000_000_000_u64}}),
            )),
            ("POST", ["restart"]) if self.change_fault.is_some() => {
                Some((self.change_fault?, json!({"message": "It went wrong on our side"})))
            }
            ("POST", ["restart"]) if got.body.is_empty() => {
                self.projects.insert(project.to_owned(), "RESTARTING".to_owned());
                self.restarts += 1;
                Some((200, json!({})))
            }
            ("GET", ["health"]) if got.query.contains_key("services") => {
                let services = got.query["services"].split(',').map(|name| {
                    let word = if status == "ACTIVE_HEALTHY" { "ACTIVE_HEALTHY" } else { "UNHEALTHY" };
                    json!({"name": name, "status": word})
                });
                Some((200, Value::Array(services.collect())))
            }
            ("GET", ["health"]) => Some((400, json!({"message": "services is required"}))),
            ("GET", ["database", "backups"]) if got.query.is_empty() => Some((200, self.backup_list())),
            ("GET", ["database", "backups", "restore-point"]) => Some(self.last_restore_point(project)),
            ("POST", ["database", "backups", what]) => self.back_up(got, project, what),
            ("GET", ["functions"]) if got.query.is_empty() => Some((200, self.functions.list())),
            ("GET", ["analytics", "endpoints", "functions.combined-stats"]) => self.functions.stats(got),
            ("GET", ["analytics", "endpoints", "logs"]) => self.functions.logs(got),
            _ => None,
        }
    }

    fn backup_list(&self) -> Value {
        self.backups.clone().unwrap_or_else(|| {
            json!({"region": "eu-central-1", "walg_enabled": true, "pitr_enabled": true, "backups": [],
                "physical_backup_data": {"earliest_physical_backup_date_unix": 1_760_000_000, "latest_physical_backup_date_unix": 1_763_000_000}})
        })
    }

    /// The newest by name; the documents do not say what is answered when there are several.
    fn last_restore_point(&self, project: &str) -> (u16, Value) {
        match self.restore_points.get(project).and_then(|points| points.last_key_value()) {
            Some((name, status)) => (200, json!({"name": name, "status": status})),
            None => (404, json!({"message": "No restore point"})),
        }
    }

    /// Restore points, and the two ways back. Both return at once and take the project down.
    fn back_up(&mut self, got: &Got, project: &str, what: &str) -> Answer {
        let body: Value = serde_json::from_str(&got.body).ok()?;
        let json_type = got.headers.get("content-type").map(String::as_str) == Some("application/json");
        let fields = body.as_object()?;
        if !json_type || fields.len() != 1 || !got.query.is_empty() {
            return None;
        }
        if let Some(status) = self.change_fault {
            return Some((status, json!({"message": "It went wrong on our side"})));
        }
        let points = self.restore_points.entry(project.to_owned()).or_default();
        match what {
            "restore-point" => {
                let name = fields.get("name")?.as_str()?;
                if name.len() > 20 || points.contains_key(name) {
                    return Some((400, json!({"message": "name is too long or taken"})));
                }
                points.insert(name.to_owned(), "AVAILABLE".to_owned());
                Some((201, json!({"name": name, "status": "PENDING"})))
            }
            "undo" => {
                let known = points.contains_key(fields.get("name")?.as_str()?);
                known.then(|| self.projects.insert(project.to_owned(), "RESTORING".to_owned()));
                known.then(|| self.rewinds.pop());
                Some(if known { (201, json!({})) } else { (404, json!({"message": "No such restore point"})) })
            }
            "restore-pitr" => {
                self.rewinds.push(fields.get("recovery_time_target_unix")?.as_u64()?);
                self.projects.insert(project.to_owned(), "RESTORING".to_owned());
                Some((201, json!({})))
            }
            _ => None,
        }
    }
}

fn open(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_millis(500)).is_ok()
}
