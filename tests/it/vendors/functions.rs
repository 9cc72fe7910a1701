//! Supabase's edge functions: the calls themselves, the list, the figures and the logs of the Management
//! API. Facts from the vendor's documents; 504 after 150 s is the platform's own, and here comes at once.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::supabase::ANON;
use super::{Answer, Got};

/// How a function behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// The gate in front of it wants a login.
    WantsLogin,
    /// It checks a signature and refuses what has none.
    WantsSignature,
    /// The platform gave up.
    TimedOut,
    /// Nothing comes back for longer than anybody should wait.
    Hangs,
    /// The next call starts it and takes this many milliseconds; the ones after it do not.
    Cold(u64),
}

/// One deployed function.
#[derive(Debug, Clone)]
pub struct Function {
    pub id: String,
    pub mood: Mood,
    pub status: &'static str,
    pub version: u32,
    /// The commit that is deployed.
    pub sha: String,
    /// A deployment that was asked for, and how many lists are given before it is there.
    pub coming: Option<(String, u32)>,
    /// How often its code ran for a POST: bookings and messages of real people.
    pub ran: u32,
}

/// All functions, by slug.
#[derive(Default)]
pub struct Functions {
    pub all: BTreeMap<String, Function>,
    /// Lines of the logs that name a time limit.
    pub limit_lines: u32,
}

impl Functions {
    pub fn add(&mut self, slug: &str, id: &str, mood: Mood) {
        let new =
            Function { id: id.into(), mood, status: "ACTIVE", version: 7, sha: "0".repeat(40), coming: None, ran: 0 };
        self.all.insert(slug.into(), new);
    }

    pub fn get(&mut self, slug: &str) -> &mut Function {
        self.all.get_mut(slug).expect("the function is there")
    }

    /// A call to a function: `/edge/functions/v1/SLUG`.
    pub fn call(&mut self, got: &Got, delay: &mut Duration) -> Answer {
        let path: Vec<&str> = got.path.trim_matches('/').split('/').collect();
        let ["edge", "functions", "v1", slug] = path.as_slice() else { return None };
        let keyed = got.headers.get("apikey").map(String::as_str) == Some(ANON);
        let Some(function) = self.all.get_mut(*slug) else {
            return Some((404, json!({"code": "NOT_FOUND", "message": "Requested function was not found"})));
        };
        match function.mood {
            Mood::WantsLogin => return Some((401, json!({"code": 401, "message": "Missing authorization header"}))),
            _ if !keyed => return Some((401, json!({"message": "Invalid API key"}))),
            Mood::WantsSignature => return Some((400, json!({"error": "no signature"}))),
            Mood::TimedOut => return Some((504, json!({"code": "TIMEOUT", "message": "The function timed out"}))),
            Mood::Hangs => *delay = Duration::from_secs(150),
            Mood::Cold(millis) => {
                *delay = Duration::from_millis(millis);
                function.mood = Mood::Well;
            }
            Mood::Well => {}
        }
        function.ran += u32::from(got.method == "POST");
        Some((200, json!({"ok": true})))
    }

    /// GET /functions. A deployment that was asked for is there after a while.
    pub fn list(&mut self) -> Value {
        for function in self.all.values_mut() {
            match function.coming.take() {
                Some((sha, 0)) => {
                    function.sha = sha;
                    function.version += 1;
                    function.status = "ACTIVE";
                    function.mood = Mood::Well;
                }
                Some((sha, n)) => function.coming = Some((sha, n - 1)),
                None => {}
            }
        }
        let row = |(slug, f): (&String, &Function)| json!({"id": f.id, "slug": slug, "name": slug, "status": f.status, "version": f.version, "verify_jwt": f.mood == Mood::WantsLogin});
        Value::Array(self.all.iter().map(row).collect())
    }

    /// Both parameters are required.
    pub fn stats(&self, got: &Got) -> Answer {
        let keys: Vec<&str> = got.query.keys().map(String::as_str).collect();
        let interval = got.query.get("interval").map(String::as_str).unwrap_or_default();
        if keys != ["function_id", "interval"] || !["15min", "1hr", "3hr", "1day"].contains(&interval) {
            return None;
        }
        let Some(f) = self.all.values().find(|f| f.id == got.query["function_id"]) else {
            return Some((200, json!({"result": [], "error": null})));
        };
        let slow = matches!(f.mood, Mood::TimedOut | Mood::Hangs);
        let point = |minute: u64| json!({"timestamp": 1_795_341_600_000_000_u64 + minute * 60_000_000, "requests_count": 40, "success_count": if slow { 9 } else { 40 }, "redirect_count": 0, "client_err_count": 0, "server_err_count": if slow { 31 } else { 0 }, "max_execution_time": if slow { 150_000 } else { 210 }, "max_cpu_time_used": 340, "avg_memory_used": 61.5});
        Some((200, json!({"result": [point(0), point(1)], "error": null})))
    }

    /// ClickHouse SQL on one table; without both ends of at most 24 h it answers 200 and an error.
    pub fn logs(&self, got: &Got) -> Answer {
        let keys: Vec<&str> = got.query.keys().map(String::as_str).collect();
        if !keys.iter().all(|k| ["iso_timestamp_end", "iso_timestamp_start", "sql"].contains(k)) {
            return None;
        }
        let sql = got.query.get("sql")?;
        let time = |key: &str| got.query.get(key).and_then(|t| t.parse::<Timestamp>().ok());
        let good = match (time("iso_timestamp_start"), time("iso_timestamp_end")) {
            (Some(from), Some(to)) => from < to && to.duration_since(from).as_hours() <= 24,
            _ => false,
        };
        if !good {
            return Some((200, json!({"result": null, "error": "Backend error! Retry your query."})));
        }
        if !sql.contains(" from logs where source_name in ('function_edge_logs','function_logs')") {
            return None;
        }
        let row = |source: &str, limit: u32| json!({"source_name": source, "lines": "80", "say_504": (if source == "function_edge_logs" { self.limit_lines } else { 0 }).to_string(), "say_limit": limit.to_string(), "newest": "2026-11-22 10:00:59"});
        Some((
            200,
            json!({"result": [row("function_edge_logs", 0), row("function_logs", self.limit_lines)], "error": null}),
        ))
    }
}
