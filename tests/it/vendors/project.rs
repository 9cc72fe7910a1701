//! One project as its users meet it: sign-in, sign-out and the data API, on a real database. Facts from the
//! vendor's documents; each user sees what belongs to its own calendars.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use super::supabase::ANON;
use super::{Answer, Got};

/// What the project knows.
#[derive(Default)]
pub struct Project {
    /// The database behind it, as its owner.
    pub url: String,
    /// Address to password and id.
    pub users: BTreeMap<String, (String, String)>,
    /// `METHOD /path` to a status that it answers instead of its own.
    pub fault: Option<(&'static str, u16)>,
    /// Single bookings are not shown to anybody: a policy got lost.
    pub blind: bool,
    /// Token to user id.
    tokens: BTreeMap<String, String>,
}

impl Project {
    pub fn answer(&mut self, got: &Got) -> Answer {
        if got.headers.get("apikey").map(String::as_str) != Some(ANON) {
            return Some((401, json!({"message": "Invalid API key"})));
        }
        let line = format!("{} {}", got.method, got.path);
        if let Some((_, status)) = self.fault.filter(|(at, _)| *at == line) {
            return Some((status, json!({"code": "42501", "message": "permission denied for table"})));
        }
        if line == "POST /project/auth/v1/token" {
            return self.sign_in(got);
        }
        let token = got.headers.get("authorization").and_then(|a| a.strip_prefix("Bearer ")).unwrap_or_default();
        let Some(user) = self.tokens.get(token).cloned() else {
            return Some((401, json!({"code": "PGRST301", "message": "JWT expired"})));
        };
        let query: Vec<(&str, &str)> = got.query.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let eq = |text: &str| text.strip_prefix("eq.").map(str::to_owned);
        match (line.as_str(), query.as_slice()) {
            ("POST /project/auth/v1/logout", [("scope", "global")]) => {
                self.tokens.retain(|_, u| *u != user);
                self.sql("delete from auth.sessions where user_id = :'user'::uuid", &[("user", &user)]);
                Some((204, Value::Null))
            }
            ("GET /project/rest/v1/calendars", [("select", "id,bookings(id)"), ("user_id", id)]) => {
                self.list("select c.id, coalesce((select json_agg(json_build_object('id', b.id)) from bookings b where b.calendar_id = c.id), '[]') as bookings from calendars c where c.user_id = :'user'::uuid and c.user_id = :'id'::uuid", &user, &eq(id)?)
            }
            ("GET /project/rest/v1/booking_payments", [("select", "id,status")]) => self.list("select p.id, p.status from booking_payments p join bookings b on b.id = p.booking_id join calendars c on c.id = b.calendar_id where c.user_id = :'user'::uuid", &user, ""),
            ("GET /project/rest/v1/bookings", [("id", _), ("select", "id")]) if self.blind => Some((200, json!([]))),
            ("GET /project/rest/v1/bookings", [("id", id), ("select", "id")]) => self.list("select b.id from bookings b join calendars c on c.id = b.calendar_id where c.user_id = :'user'::uuid and b.id = :'id'::uuid", &user, &eq(id)?),
            ("GET /project/rest/v1/bookings", [("id", id), ("select", "id,calendar_id,customer_name")]) => self.list("select b.id, b.calendar_id, b.customer_name from bookings b join calendars c on c.id = b.calendar_id where c.user_id = :'user'::uuid and b.id = :'id'::uuid", &user, &eq(id)?),
            ("POST /project/rest/v1/bookings", []) => self.book(got, &user),
            ("DELETE /project/rest/v1/bookings", [("calendar_id", calendar), ("id", id)]) => {
                let (calendar, id) = (eq(calendar)?, eq(id)?);
                self.sql("delete from bookings b using calendars c where c.id = b.calendar_id and c.user_id = :'user'::uuid and b.id = :'id'::uuid and c.id = :'calendar'::uuid", &[("user", &user), ("id", &id), ("calendar", &calendar)]);
                Some((204, Value::Null))
            }
            _ => None,
        }
    }

    fn sign_in(&mut self, got: &Got) -> Answer {
        let body = json_body(got)?;
        if got.query.get("grant_type").map(String::as_str) != Some("password") || body.as_object()?.len() != 2 {
            return None;
        }
        let known = self.users.get(body["email"].as_str()?).filter(|(password, _)| body["password"] == **password);
        let Some((_, id)) = known.cloned() else {
            return Some((
                400,
                json!({"code": 400, "error_code": "invalid_credentials", "msg": "Invalid login credentials"}),
            ));
        };
        let token = format!("practice.access.token-{}", self.tokens.len());
        self.tokens.insert(token.clone(), id.clone());
        self.sql("insert into auth.sessions values (gen_random_uuid(), :'user'::uuid)", &[("user", &id)]);
        Some((
            200,
            json!({"access_token": token, "token_type": "bearer", "expires_in": 3600, "refresh_token": "practice-refresh", "user": {"id": id}}),
        ))
    }

    fn book(&self, got: &Got, user: &str) -> Answer {
        let body = json_body(got)?;
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let (id, calendar, name, at) = (text("id")?, text("calendar_id")?, text("customer_name")?, text("starts_at")?);
        if body.as_object()?.len() != 4 || got.headers.get("prefer").map(String::as_str) != Some("return=minimal") {
            return None;
        }
        let values = [("user", user), ("id", &id), ("calendar", &calendar), ("name", &name), ("at", &at)];
        self.sql("insert into bookings (id, calendar_id, customer_name, starts_at) select :'id'::uuid, c.id, :'name', :'at'::timestamptz from calendars c where c.id = :'calendar'::uuid and c.user_id = :'user'::uuid", &values);
        Some((201, Value::Null))
    }

    fn list(&self, sql: &str, user: &str, id: &str) -> Answer {
        let sql = format!("select coalesce(json_agg(t), '[]') from ({sql}) t");
        Some((200, serde_json::from_str(&self.sql(&sql, &[("user", user), ("id", id)])).expect("JSON")))
    }

    /// Runs one statement on the real database; gives what it says.
    fn sql(&self, sql: &str, values: &[(&str, &str)]) -> String {
        let mut psql = Command::new("/usr/bin/psql");
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-", &self.url]);
        for (name, value) in values {
            psql.args(["-v", &format!("{name}={value}")]);
        }
        let file = reading(sql);
        let out = psql.stdin(file).output().expect("psql");
        assert!(out.status.success(), "{sql}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }
}

/// A pipe that holds this text.
fn reading(text: &str) -> std::io::PipeReader {
    use std::io::Write;
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(text.as_bytes()).expect("written");
    reader
}

fn json_body(got: &Got) -> Option<Value> {
    let json_type = got.headers.get("content-type").map(String::as_str) == Some("application/json");
    json_type.then(|| serde_json::from_str(&got.body).ok()).flatten()
}
