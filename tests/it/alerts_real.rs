//! The whole way with the real programs: Prometheus probes a real PostgreSQL through the blackbox exporter,
//! Alertmanager delivers, the bot diagnoses. Judged by the server's log and the practice chat's record.

use std::fs;
use std::process::Command;
use std::time::Duration;

use drbot::clock;
use drbot::model::time::Millis;
use drbot::practice::port;
use drbot::practice::scratch::Stop;
use drbot::practice::slack::{Message, buttons, plain_text};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::alerts::{TOKEN, card, cards, http, listening};
use crate::program::Program;
use crate::support::{Folder, figures};
use crate::world::{CHANNEL, LIMIT, World};

/// From the server's last word to the diagnosis in the channel.
const TOLD_WITHIN: i64 = 15_000;
/// How long the bot is frozen: longer than Alertmanager waits for an answer (10 s), twice.
const FROZEN: Duration = Duration::from_secs(25);

/// Fields drop in order: the programs before their folder.
struct Monitoring {
    _ports: [port::Port; 3],
    _programs: Vec<Program>,
    alertmanager: String,
    prometheus: String,
    folder: Folder,
}

const EXAMPLE: &str = include_str!("../../deploy/alertmanager.example.yml");

const RULES: &str = r#"groups:
  - name: probes
    rules:
      - alert: DatabaseDown
        expr: probe_success == 0
        labels: { severity: critical }
        annotations: { summary: "no TCP connection to {{ $labels.instance }}" }
"#;

/// The shipped example, hurried up.
fn receiver(bot: &str, token: &str) -> String {
    let changes = [
        ("https://drbot.example.com/alerts/alertmanager", bot),
        ("/etc/alertmanager/drbot-token", token),
        ("group_wait: 10s", "group_wait: 1s"),
        ("group_interval: 1m", "group_interval: 2s"),
    ];
    changes.iter().fold(EXAMPLE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the example has no {from}");
        text.replace(from, to)
    })
}

impl Monitoring {
    /// Probes `database` every second; delivers to the bot after one.
    async fn start(bot: &str, database: u16) -> Monitoring {
        let folder = Folder::new();
        let at = |name: &str| folder.0.join(name).display().to_string();
        let write = |name: &str, text: &str| fs::write(folder.0.join(name), text).expect("written");
        let ports = [(); 3].map(|()| port::free().expect("a port"));
        let [blackbox, alertmanager, prometheus] = ports.each_ref().map(port::Port::number);
        write("token", TOKEN);
        write("rules.yml", RULES);
        write("blackbox.yml", "modules: { tcp: { prober: tcp, timeout: 900ms } }\n");
        write("alertmanager.yml", &receiver(bot, &at("token")));
        write(
            "prometheus.yml",
            &format!(
                "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\nrule_files: [rules.yml]\n\
                 alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: ['127.0.0.1:{alertmanager}'] }}] }}] }}\n\
                 scrape_configs:\n  - job_name: database\n    metrics_path: /probe\n    params: {{ module: [tcp] }}\n\
                 \x20   static_configs: [{{ targets: ['127.0.0.1:{database}'] }}]\n    relabel_configs:\n\
                 \x20     - {{ source_labels: [__address__], target_label: __param_target }}\n\
                 \x20     - {{ source_labels: [__param_target], target_label: instance }}\n\
                 \x20     - {{ target_label: __address__, replacement: '127.0.0.1:{blackbox}' }}\n"
            ),
        );
        let listen = |port: u16| format!("--web.listen-address=127.0.0.1:{port}");
        let config = |name: &str| format!("--config.file={}", at(name));
        let start =
            |name: &str, arguments: &[String]| Program::start(name, arguments, &folder.0.join(format!("{name}.log")));
        let programs = vec![
            start("prometheus-blackbox-exporter", &[config("blackbox.yml"), listen(blackbox)]),
            start(
                "prometheus-alertmanager",
                &[
                    config("alertmanager.yml"),
                    listen(alertmanager),
                    format!("--storage.path={}", at("alerts")),
                    "--cluster.listen-address=".into(),
                ],
            ),
            start(
                "prometheus",
                &[config("prometheus.yml"), listen(prometheus), format!("--storage.tsdb.path={}", at("samples"))],
            ),
        ];
        let base = |port: u16| format!("http://127.0.0.1:{port}");
        let monitoring = Monitoring {
            _programs: programs,
            _ports: ports,
            alertmanager: base(alertmanager),
            prometheus: base(prometheus),
            folder,
        };
        monitoring.until("the probe to succeed", async || monitoring.probe().await.as_deref() == Some("1")).await;
        let alive = async || get(&format!("{}/-/ready", monitoring.alertmanager)).await.is_some();
        monitoring.until("Alertmanager", alive).await;
        monitoring
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let limit = Instant::now() + LIMIT;
        while !holds().await {
            assert!(Instant::now() < limit, "waited in vain for {what}:\n{}", self.logs());
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the newest probe says.
    async fn probe(&self) -> Option<String> {
        let answer = get(&format!("{}/api/v1/query?query=probe_success", self.prometheus)).await?;
        let answer: Value = serde_json::from_str(&answer).ok()?;
        answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    }

    /// How often Alertmanager tried to reach the bot so far.
    async fn tries(&self) -> u64 {
        let metrics = get(&format!("{}/metrics", self.alertmanager)).await.unwrap_or_default();
        let name = "alertmanager_notification_requests_total{integration=\"webhook\"} ";
        metrics.lines().find_map(|l| l.strip_prefix(name)).and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    fn logs(&self) -> String {
        let list = fs::read_dir(&self.folder.0).into_iter().flatten().flatten();
        let logs = list.filter(|f| f.path().extension().is_some_and(|e| e == "log"));
        logs.filter_map(|f| fs::read_to_string(f.path()).ok()).collect::<Vec<_>>().join("\n")
    }
}

async fn get(url: &str) -> Option<String> {
    let answer = http().get(url).send().await.ok()?.error_for_status().ok()?;
    answer.text().await.ok()
}

fn runbook(name: &str, alert: &str, sql: &str, expect: &str, figure: &str) -> String {
    format!(
        "runbook: {name}\ntitle: Trouble {name}\ntier: 1\nobjectives: {{ rto: 1h, rpo: 24h, mttr: 30m }}\nestimate: 10m\n\
         alerts: [{{ source: alertmanager, labels: {{ alertname: {alert} }} }}]\n\
         detect:\n  every: 1h\n  failures: 1\n  checks:\n    - {{ id: seen, target: main-db, sql: '{sql}', expect: {expect}, figure: '{figure}' }}\n\
         steps:\n  - {{ id: call, title: Call, do: {{ manual: {{ ask: Call the provider, evidence: ticket }} }} }}\n\
         verify:\n  - {{ id: healthy, target: main-db, sql: '{sql}', expect: {expect}, figure: '{figure}' }}\n"
    )
}

fn runbooks() -> Folder {
    let folder = Folder::new();
    let write = |name: &str, text: &str| fs::write(folder.0.join(name), text).expect("written");
    write("_shared.yaml", "objectives: { rto: 4h, rpo: 24h, mttr: 2h }\nscenarios: []\n");
    let reachable = "{ reachable: true }";
    write("down.yaml", &runbook("down", "DatabaseDown", "select 1 as ok", reachable, "the database answers {ok}"));
    let rows = "{ value: { column: n, at_most: 0 } }";
    let sql = "select count(*) as n from bookings where id < 0";
    write("rows.yaml", &runbook("rows", "BookingsBroken", sql, rows, "{n} broken bookings"));
    folder
}

/// When the server wrote its last line.
fn last_word(log: &str) -> Millis {
    let line = log.lines().rev().find(|l| l.contains(" UTC [")).expect("a line with a time");
    let stamp = line.split(" UTC").next().unwrap_or_default().replace(' ', "T") + "Z";
    Millis(stamp.parse::<jiff::Timestamp>().expect("a time").as_millisecond())
}

fn signal(world: &World, name: &str) {
    let pid = world.bot.pid().expect("the bot runs").to_string();
    assert!(Command::new("kill").args([name, &pid]).status().expect("kill").success());
}

fn thread(world: &World) -> Vec<Message> {
    world.slack.messages(CHANNEL).into_iter().filter(|m| m.thread_ts.is_some()).collect()
}

/// The database stops and the channel says so with the database's own error; while the bot is frozen it
/// heals, and Alertmanager says so again and again: the same message says it once.
#[tokio::test]
async fn an_outage_arrives_diagnosed_and_ends_in_the_same_message() {
    let folder = runbooks();
    let place = folder.0.clone();
    let world = World::with(true, |w| {
        listening(w);
        w.runbooks = place;
        w.parameters.clear();
    })
    .await;
    let database = world.database.as_ref().expect("a database");
    let (commands, _) = world.bot.doors().expect("addresses");
    let door = commands.join("/alerts/alertmanager").expect("an address");
    let monitoring = Monitoring::start(door.as_str(), database.port()).await;
    assert!(cards(&world).is_empty(), "all is well, and nothing is said");

    database.stop(Stop::Fast).await.expect("stopped");
    let stopped = last_word(&database.log_text());
    let down = card(&world, &["DatabaseDown: 1 alert firing", "confirmed", "could not connect to main-db"]).await;
    let took = clock::now().since(stopped);
    let text = plain_text(&down);
    assert!(!text.contains("not confirmed"), "{text}");
    assert!(text.contains("connection refused") || text.contains("57P0"), "{text}");
    assert!(text.contains("no TCP connection to 127.0.0.1:"), "{text}");
    assert!(took.0 <= TOLD_WITHIN, "told {} ms after the server's last word\n{}", took.0, monitoring.logs());
    assert_eq!(buttons(&down).len(), 2);
    figures(&format!("outage to diagnosis in the channel: {} ms after the server's last line", took.0));

    let tries = monitoring.tries().await;
    signal(&world, "-STOP");
    let frozen = Instant::now();
    database.restart().await.expect("healed");
    // The time itself is what is tested here; that deliveries really failed meanwhile is seen below.
    sleep(FROZEN.saturating_sub(frozen.elapsed())).await;
    let more = monitoring.tries().await - tries;
    signal(&world, "-CONT");
    assert!(more >= 2, "Alertmanager must have tried again, and tried {more} times\n{}", monitoring.logs());
    let healed = card(&world, &["✅ DatabaseDown: resolved", "confirmed at"]).await;
    assert_eq!(healed.ts, down.ts, "the same message");
    assert!(buttons(&healed).is_empty());

    let alert = json!([{"labels": {"alertname": "BookingsBroken"}, "annotations": {"summary": "somebody complained"}}]);
    let url = format!("{}/api/v2/alerts", monitoring.alertmanager);
    let posted = http().post(url).header("content-type", "application/json").body(alert.to_string());
    assert_eq!(posted.send().await.expect("an answer").status(), 200);
    let calm = card(&world, &["BookingsBroken", "not confirmed", "0 broken bookings"]).await;
    assert_ne!(calm.ts, down.ts);
    let all: Vec<String> = cards(&world).iter().map(plain_text).collect();
    assert_eq!((cards(&world).len(), thread(&world).len()), (2, 0), "{all:#?}");
    world.finish();
}
