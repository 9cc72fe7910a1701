//! The outside of a walk: databases, vendors and folders, looked at and moved by somebody else than drbot. Takes
//! what entries say; gives records as text.

use std::cell::RefCell;
use std::collections::BTreeMap;

use drbot::model::statement::fill;
use drbot::practice::scratch::Stop;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::entry::{Act, Record};
use super::offline::shipped;
use super::walk::Folders;
use crate::moto::Moto;
use crate::runbook_backups;
use crate::saas::{SAAS, Saas};
use crate::world::{CHANNEL, user};

pub struct Site<'a> {
    pub saas: &'a Saas,
    /// What stands for `{name}` in entries.
    pub values: BTreeMap<String, String>,
    pub folders: Folders,
    /// The object store, where there is one.
    pub store: Option<Moto>,
    /// Step to how many troubles it had.
    failed: RefCell<BTreeMap<String, usize>>,
    /// Sessions of others that stay open.
    held: RefCell<Vec<PgConnection>>,
    catalog: drbot::model::catalog::Catalog,
}

impl<'a> Site<'a> {
    pub fn new(saas: &'a Saas, values: &[(&str, String)], folders: Folders) -> Site<'a> {
        let values = values.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        Site {
            saas,
            values,
            folders,
            store: None,
            failed: RefCell::default(),
            held: RefCell::default(),
            catalog: shipped(),
        }
    }

    pub async fn say(&self, who: &str, text: &str) -> String {
        let said = self.saas.world.say(who, text).await;
        said.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
    }

    /// A whole answer, blocks and all.
    pub async fn shown(&self, text: &str) -> String {
        self.saas.world.slack.slash(&user("alice"), CHANNEL, text).await.body
    }

    pub fn log(&self) -> String {
        let log = self.saas.world.bot.log();
        log.lines().rev().take(8).collect::<Vec<_>>().join("\n")
    }

    pub fn fill(&self, text: &str) -> String {
        fill(text, &self.values)
    }

    /// How many troubles this step had.
    pub fn failed(&self, step: &str) -> usize {
        self.failed.borrow().get(step).copied().unwrap_or_default()
    }

    pub fn count(&self, step: &str) {
        *self.failed.borrow_mut().entry(step.to_owned()).or_default() += 1;
    }

    /// How many changes the vendors were asked for. Signing in and out is none: it only opens the way to look.
    pub fn sent(&self) -> usize {
        let session = |path: &str| path.starts_with("/project/auth/v1/");
        self.saas.vendors.changes().iter().filter(|g| !session(&g.path)).count()
    }

    fn titles(&self, runbook: &str) -> Vec<(String, String)> {
        let steps = &self.catalog.runbooks[runbook].runbook.steps;
        let bare = |t: &str| t.split('{').next().unwrap_or_default().trim_end().to_owned();
        steps.iter().map(|s| (s.id.clone(), bare(&s.title))).collect()
    }

    /// The step whose title this text begins with.
    pub fn step(&self, runbook: &str, text: &str) -> Option<String> {
        let mut fits: Vec<_> = self.titles(runbook).into_iter().filter(|(_, t)| text.starts_with(t.as_str())).collect();
        fits.sort_by_key(|(_, t)| t.len());
        fits.pop().map(|(id, _)| id)
    }

    /// The line of the card that says how the step stands.
    pub fn state(&self, runbook: &str, card: &str, step: &str) -> String {
        let of = |l: &&str| {
            l.split_once(' ').and_then(|(_, t)| self.step(runbook, t)).is_some_and(|s| s == step) && l.contains(" (")
        };
        card.lines().find(of).unwrap_or_default().to_owned()
    }

    async fn query(&self, database: &str, sql: &str) -> String {
        let url = self.saas.database.superuser_url_of(database);
        let mut conn = self.saas.database.connect(&url).await.expect("a session");
        let text = format!("select coalesce(({sql})::text, 'none')");
        sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(&mut conn).await.expect("an answer")
    }

    /// What the target says about itself.
    pub async fn record(&self, record: &Record) -> String {
        match record {
            Record::Tables(tables) => {
                let mut all = Vec::new();
                for table in *tables {
                    all.push(self.saas.fingerprint(table).await);
                }
                all.join(" ")
            }
            Record::Sql(sql) => self.query(SAAS, sql).await,
            Record::In(database, sql) => self.query(database, sql).await,
            Record::Vendors(kept) => self.saas.vendors.with(|b| kept(b)),
            Record::File(folder, name) => {
                let bytes = std::fs::read(self.folder(folder).join(name));
                bytes.map_or_else(|_| "no such file".to_owned(), |b| hex::encode(Sha256::digest(b)))
            }
        }
    }

    fn folder(&self, name: &str) -> std::path::PathBuf {
        self.folders.iter().find(|(n, _)| *n == name).expect(name).1.clone()
    }

    /// Lets something happen outside.
    pub async fn act(&self, act: &Act) {
        match act {
            Act::Sql(sql) => self.saas.sql(&self.fill(sql)).await,
            Act::In(database, sql) => self.saas.database.admin(database, sql).await.expect(sql),
            Act::Hold(sql) => {
                let url = self.saas.database.superuser_url_of(SAAS);
                let mut conn = self.saas.database.connect(&url).await.expect("a session");
                sqlx::raw_sql(*sql).execute(&mut conn).await.expect(sql);
                self.held.borrow_mut().push(conn);
            }
            Act::Release => {
                let all = self.held.take();
                for conn in all {
                    conn.close().await.expect("closed");
                }
            }
            Act::Vendors(change) => self.saas.vendors.with(change),
            Act::Call(method, path, header, body) => {
                let (path, body) = (self.fill(path), self.fill(body));
                let value = self.fill(header.1);
                let status = self.saas.vendors.by_hand(method, &path, (header.0, &value), &body).await;
                assert!((200..300).contains(&status), "{method} {path} by hand: {status}");
            }
            Act::Move(folder, from, to) => {
                let folder = self.folder(folder);
                std::fs::rename(folder.join(from), folder.join(to)).expect("moved");
            }
            Act::Backups(list) => runbook_backups::hold(self.store.as_ref().expect("an object store"), list).await,
            Act::Restart(then) => {
                self.saas.database.stop(Stop::Fast).await.expect("stopped");
                self.saas.database.restart().await.expect("started");
                self.saas.vendors.with(then);
            }
            Act::Elsewhere => {}
        }
    }

    /// Runs a statement as a card says it.
    pub async fn words(&self, database: &str, said: &str) {
        let sql = said.split(" What can be taken back").next().unwrap_or_default();
        let sql = sql.split(". No step that ran").next().unwrap_or_default().trim_end_matches('.');
        self.saas.database.admin(database, sql).await.expect(sql);
    }
}
