//! Engines: eight over one store, and one that is given a burst.

use std::time::Duration;

use drbot::app::load_catalog;
use drbot::engine::{Busy, Engine, Fixed};
use drbot::model::approval::{Policy, Quorum, TargetIdentity};
use drbot::model::effect::{Act, Lane};
use drbot::model::event::Event;
use drbot::model::expect::Rows;
use drbot::model::id::CaseId;
use drbot::model::inbound::{Delivery, Input, Place};
use drbot::model::message::Reply;
use drbot::model::outcome::{Ended, Outcome};
use drbot::model::person::{Person, PersonId, Roster, Speaker};
use drbot::model::runbook::Risk;
use drbot::model::time::{Millis, Span};
use drbot::model::world::Rules;
use drbot::parse::catalog::{Site, TargetKind};
use drbot::parse::slash;
use drbot::persist::dialect::Dialect;
use drbot::persist::{Leased, Store};
use drbot::redact::Redactor;
use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Home, count};
use crate::support::{commands, figures};

/// How long a sender keeps sending what was not taken.
const LIMIT: Duration = Duration::from_secs(30);

fn fixed() -> Fixed {
    let site = Site {
        targets: [("main-db".to_owned(), TargetKind::Sql { operator: true })].into(),
        configured: true,
        ..Site::default()
    };
    let person = |id: &str| Person {
        id: PersonId(id.into()),
        name: id.to_uppercase(),
        roles: vec!["responder".into()],
        slack: vec![format!("U-{id}")],
    };
    let policy = Policy { all_of: vec![Quorum { role: "responder".into(), count: 1 }] };
    Fixed {
        catalog: load_catalog(&commands(), &site).unwrap(),
        roster: Roster { home_team: "T".into(), people: ["alice", "bob"].map(person).to_vec() },
        rules: Rules {
            version: "v".into(),
            policies: [((2, Risk::Disruptive), policy.clone()), ((1, Risk::Disruptive), policy)].into(),
            decide_within: Span::minutes(15),
            start_within: Span::minutes(5),
            ..Rules::default()
        },
        redactor: Redactor::new([]),
    }
}

async fn engine(store: Store) -> Engine {
    Engine::start(store, fixed()).await.unwrap().0
}

fn said(key: &str, text: &str) -> Delivery {
    let by = Speaker { team: "T".into(), user: "U-alice".into() };
    let place = Place { channel: "C01INC".into(), ..Place::default() };
    Delivery { key: key.into(), input: Input::Said { by, place, said: slash::parse(text) } }
}

/// Sends until it is taken, as every sender must. Gives the reply and how often it was not taken.
async fn send(engine: &Engine, delivery: &Delivery) -> (Reply, u32) {
    let until = Instant::now() + LIMIT;
    let mut refused = 0;
    loop {
        match engine.submit(delivery.clone()).await {
            Ok(reply) => return (reply, refused),
            Err(Busy::Full | Busy::Slow | Busy::Store) => refused += 1,
        }
        assert!(Instant::now() < until, "{} was never taken", delivery.key);
    }
}

/// Every delivery goes to two of eight engines at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_engines_decide_each_delivery_once() {
    let home = Home::new(Dialect::Postgres).await;
    let url = home.url().await;
    let mut engines = Vec::new();
    for _ in 0..8 {
        engines.push(engine(Store::open(&url).await.unwrap()).await);
    }
    let opening: Vec<Delivery> = (1..=4).map(|n| said(&format!("open{n}"), &format!("declare trouble {n}"))).collect();
    let noting: Vec<Delivery> =
        (0..80).map(|i| said(&format!("note{i}"), &format!("note INC-{} text {i}", i % 4 + 1))).collect();
    let (mut refused, mut seed) = (0, 20_261_122_u64);
    for wave in [opening, noting] {
        let mut tasks = JoinSet::new();
        for delivery in wave {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (a, b) = ((seed >> 33) as usize % 8, (seed >> 45) as usize % 8);
            let (a, b) = (engines[a].clone(), engines[if a == b { (b + 1) % 8 } else { b }].clone());
            tasks.spawn(async move {
                let (one, two) = tokio::join!(send(&a, &delivery), send(&b, &delivery));
                assert_eq!(one.0, two.0, "{}: both get the same reply", delivery.key);
                one.1 + two.1
            });
        }
        refused += tasks.join_all().await.into_iter().sum::<u32>();
    }
    let store = Store::open(&url).await.unwrap();
    let mut texts = Vec::new();
    for number in 1..=4 {
        let id = CaseId::incident(number);
        let history = store.history(&id, 0, 1_000).await.unwrap();
        assert_eq!(store.check_chain(&id).await.unwrap(), history.len() as u64);
        assert_eq!(history.iter().filter(|e| matches!(e.event, Event::Declared(_))).count(), 1);
        texts.extend(history.into_iter().filter_map(|e| match e.event {
            Event::Noted { text, .. } => Some(text),
            _ => None,
        }));
    }
    texts.sort();
    let mut wanted: Vec<String> = (0..80).map(|i| format!("text {i}")).collect();
    wanted.sort();
    assert_eq!(texts, wanted, "each decided once");
    assert_eq!(count(&url, "SELECT count(*) FROM deliveries").await, 84);
    figures(&format!("8 engines, 84 deliveries to two each: {refused} times asked to come back"));
}

async fn leased(store: &Store, key: &str) -> Leased {
    let far = Millis(i64::MAX / 2);
    let all = store.lease("w", Lane::Step, 50, (far, far)).await.unwrap();
    all.into_iter().find(|l| l.key.0.starts_with(key)).expect("the effect is there")
}

fn came(leased: &Leased, outcome: Outcome) -> Input {
    Input::Came { case: leased.case.clone(), effect: leased.key.clone(), generation: leased.generation, outcome }
}

/// What one engine knew of a case before another moved it must not decide what becomes of an outcome.
#[tokio::test]
async fn an_outcome_is_not_lost_to_an_engine_that_is_behind() {
    let home = Home::new(Dialect::Postgres).await;
    let url = home.url().await;
    let store = Store::open(&url).await.unwrap();
    let (a, b) = (engine(Store::open(&url).await.unwrap()).await, engine(Store::open(&url).await.unwrap()).await);
    send(&a, &said("1", "declare database-performance")).await;
    send(&a, &said("2", "run database-performance")).await;
    let look = leased(&store, "start/").await;
    let Act::Start(job) = &look.act else { panic!("{look:?}") };
    let starting = Input::Starting {
        case: look.case.clone(),
        effect: look.key.clone(),
        generation: look.generation,
        attempt: 1,
        digest: job.hash(),
    };
    assert_eq!(send(&b, &Delivery { key: "3".into(), input: starting }).await.0, Reply::Go);
    let done = Outcome::Ended(Ended::Done { rows: Rows::default() });
    send(&b, &Delivery { key: "4".into(), input: came(&look, done) }).await;
    let preview = leased(&store, "preview/").await;
    let columns = ["pid", "backend_start", "query_start"];
    let rows = Rows {
        columns: columns.map(str::to_owned).to_vec(),
        rows: vec![columns.map(|_| Some("7".to_owned())).to_vec()],
        beyond: 0,
    };
    let identity = TargetIdentity { system: "1".into(), database: "d".into(), server: "s".into() };
    send(&a, &Delivery { key: "5".into(), input: came(&preview, Outcome::Previewed { rows, identity }) }).await;
    let history = store.history(&CaseId::incident(1), 0, 100).await.unwrap();
    let kinds: Vec<&str> = history.iter().map(|e| e.event.kind()).collect();
    assert!(kinds.contains(&"approval_asked"), "the preview was thrown away: {kinds:?}");
}

/// Identifiers and times, which differ from run to run, as words.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_hexdigit() || c == ':' {
            word.push(c);
            continue;
        }
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let time = word.len() == 8 && word.bytes().filter(|b| *b == b':').count() == 2;
        match () {
            () if word.len() >= 32 => out.push_str("ID"),
            () if time => out.push_str("TIME"),
            () if digits >= 13 => out.push_str(&word.replace(|c: char| c.is_ascii_digit(), "")),
            () => out.push_str(&word),
        }
        word.clear();
        out.push(c);
    }
    out
}

/// Everything that happened, in the order of each case.
async fn events(url: &str) -> Vec<String> {
    use sqlx::{Connection, Row};
    let mut connection = sqlx::AnyConnection::connect(url).await.unwrap();
    let sql = "SELECT case_id, seq, kind, payload FROM events ORDER BY case_id, seq";
    let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
    let mut all: Vec<(String, i64, String)> = rows
        .iter()
        .map(|r| (plain(r.get::<&str, _>(0)), r.get(1), format!("{} {}", r.get::<&str, _>(2), plain(r.get(3)))))
        .collect();
    all.sort();
    all.into_iter().map(|(case, seq, what)| format!("{case}/{seq} {what}")).collect()
}

async fn burst(url: &str, list: &[Delivery], at_once: usize) -> (Vec<String>, Vec<String>) {
    let store = Store::open(url).await.unwrap();
    let engine = engine(store.clone()).await;
    let mut replies = Vec::new();
    for part in list.chunks(at_once) {
        // `join_all` sends in order; the committer takes what has come so far as one batch.
        let got = join_all(part.iter().map(|d| engine.submit(d.clone()))).await;
        replies.extend(got.into_iter().map(|r| plain(&format!("{r:?}"))));
    }
    drop(engine);
    let events = events(url).await;
    store.close().await;
    (events, replies)
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => (1..4_u8).prop_map(|n| format!("declare outage {n}")),
        1 => Just("declare database-performance".to_owned()),
        2 => (1..5_u8).prop_map(|n| format!("run INC-{n} database-performance")),
        1 => (1..5_u8).prop_map(|n| format!("run INC-{n} database-performance longer_than=2m")),
        6 => (1..5_u8, "[a-z ]{1,12}").prop_map(|(n, t)| format!("note INC-{n} {t}.")),
        1 => (1..5_u8).prop_map(|n| format!("next INC-{n}")),
        1 => Just("timeline INC-1".to_owned()),
        1 => Just("verify 0123456789ab".to_owned()),
        1 => Just("status".to_owned()),
        1 => Just("nonsense".to_owned()),
    ]
}

/// A burst leaves the same as the same deliveries one by one, repeats included.
#[test]
fn a_batch_is_the_same_as_one_by_one() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let home = runtime.block_on(Home::new(Dialect::Sqlite));
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let lists = prop::collection::vec((line(), 0..4_u8), 1..40);
    let outcome = TestRunner::new(config).run(&lists, |lines| {
        let mut list: Vec<Delivery> = Vec::new();
        for (i, (text, repeat)) in lines.iter().enumerate() {
            list.push(said(&format!("k{i}"), text));
            if *repeat == 0 {
                list.push(list[i / 2].clone());
            }
        }
        let (many, single) = runtime.block_on(async {
            let (a, b) = (home.url().await, home.url().await);
            (burst(&a, &list, 64).await, burst(&b, &list, 1).await)
        });
        prop_assert_eq!(many.0, single.0);
        prop_assert_eq!(many.1, single.1);
        Ok(())
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
}

/// One long burst into one case, past several snapshots, is still one batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_burst_into_one_case() {
    for kind in [Dialect::Sqlite, Dialect::Postgres] {
        let home = Home::new(kind).await;
        let url = home.url().await;
        let mut list = vec![said("open", "declare outage")];
        list.extend((0..250).map(|i| said(&format!("n{i}"), &format!("note INC-1 text {i}"))));
        let (events, replies) = burst(&url, &list, 300).await;
        assert_eq!(events.len(), 251, "{kind:?}");
        assert!(replies.iter().all(|r| r.starts_with("Ok")), "{kind:?}: {replies:?}");
        let store = Store::open(&url).await.unwrap();
        assert_eq!(store.check_chain(&CaseId::incident(1)).await.unwrap(), 251);
        // 251 commits one by one would each have their own time; one batch has one.
        let times = count(&url, "SELECT count(DISTINCT at) FROM events").await;
        assert!(times <= 20, "{kind:?}: the burst fell apart into {times} commits");
    }
}
