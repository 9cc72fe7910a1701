//! How fast a backup is restored: the runbook against a shell script that does the same verified recipe, taken
//! from the same file, in turns on the same machine. Started by script/bench; gives a table. Work is measured
//! here and nothing is asserted about time: a ratio of two things in one run says more than seconds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use drbot::model::ask::ProcessAsk;
use drbot::model::event::{Event, StepEnd};
use drbot::model::id::CaseId;
use drbot::model::runbook::{Runbook, Task};
use drbot::model::statement::fill;
use drbot::persist::Store;
use drbot::practice::scratch::PASSWORD;
use drbot::practice::slack::plain_text;

use crate::scenario_s9::{Loss, NEW, PASSPHRASE, recovery, stage};
use crate::support::{commands, figures};
use crate::world::{CHANNEL, approval_id};

/// The steps of the recipe.
const STEPS: [&str; 6] = ["download", "decrypt", "unpack", "scan", "load", "counts"];
const HAND: &str = "by_hand";
const PAIRS: usize = 3;
/// How long one step of a large restore may take.
const LONG: Duration = Duration::from_secs(900);
/// About 300 bytes a row, half of them words that come again.
const BALLAST: &str = "create table ballast as select n, md5(n::text) || md5((n * 7)::text) as a, \
    repeat('booking ' || (n / 9) || ' confirmed for calendar ' || (n % 40) || ', ', 5) as b from generate_series(1, ROWS) n";

/// One restore: the steps' own time, and all of it.
struct Took {
    each: Vec<Duration>,
    steps: Duration,
    wall: Duration,
}

/// The files of a restore go from program to program: a large one needs no more of the bot's memory than a small.
#[tokio::test]
async fn a_restore_of_50_megabytes_does_not_move_memory() {
    let loss = stage().await;
    loss.back_up(2, PASSPHRASE, |_| {}).await;
    by_runbook(&loss, 1).await;
    let small = peak(&loss);
    loss.saas.sql("DROP DATABASE recovery WITH (FORCE)").await;
    recovery(&loss.saas, "recovery").await;
    loss.saas.sql(&BALLAST.replace("ROWS", &(50_000_000 / 300).to_string())).await;
    loss.back_up(2, PASSPHRASE, |_| {}).await;
    by_runbook(&loss, 2).await;
    let large = peak(&loss);
    figures(&format!("peak memory after a small restore {small:.1} MiB, after one of 50 MB {large:.1} MiB"));
    assert!(large - small < 8.0, "{small:.1} MiB, then {large:.1} MiB");
    loss.saas.finish();
}

#[tokio::test]
#[ignore = "a measurement of minutes, started by script/bench"]
async fn restore_speed() {
    let long = std::env::var("DRBOT_LONG").is_ok();
    let sizes: &[usize] = if long { &[50, 1_000] } else { &[50] };
    for megabytes in sizes {
        measure(*megabytes).await;
    }
}

async fn measure(megabytes: usize) {
    let loss = stage().await;
    loss.saas.sql(&BALLAST.replace("ROWS", &(megabytes * 1_000_000 / 300).to_string())).await;
    let mut bytes = 0;
    let count = |dump: String| {
        bytes = dump.len();
        dump
    };
    loss.back_up_edited(2, PASSPHRASE, count, |_| {}).await;
    let packed = fs::metadata(loss.store.0.join("b.gpg")).expect("a backup").len();
    let before = peak(&loss);
    let (mut bot, mut hand) = (Vec::new(), Vec::new());
    for pair in 1..=PAIRS {
        recovery(&loss.saas, HAND).await;
        hand.push(by_hand(&loss).await);
        loss.saas.sql(&format!("DROP DATABASE {HAND} WITH (FORCE)")).await;
        bot.push(by_runbook(&loss, pair).await);
        loss.saas.sql("DROP DATABASE recovery WITH (FORCE)").await;
        recovery(&loss.saas, "recovery").await;
    }
    let s = |all: Vec<Duration>| {
        let all: Vec<String> = all.iter().map(|d| format!("{:.2}", d.as_secs_f64())).collect();
        all.join(" ")
    };
    for (at, step) in STEPS.iter().enumerate() {
        let of = |all: Vec<&Vec<Duration>>| median(all.iter().map(|e| e[at].as_secs_f64()).collect());
        let (h, b) = (of(hand.iter().map(|t| &t.each).collect()), of(bot.iter().map(|t| &t.each).collect()));
        figures(&format!("  {step:<10} by hand {h:.2} s, drbot {b:.2} s"));
    }
    let hand: Vec<Duration> = hand.iter().map(|t| t.wall).collect();
    let ratios: Vec<f64> = hand.iter().zip(&bot).map(|(h, b)| h.as_secs_f64() / b.steps.as_secs_f64()).collect();
    let whole: Vec<f64> = hand.iter().zip(&bot).map(|(h, b)| h.as_secs_f64() / b.wall.as_secs_f64()).collect();
    figures(&format!(
        "restore of {} MB of SQL ({} MB packed), {PAIRS} pairs in turns",
        bytes / 1_000_000,
        packed / 1_000_000
    ));
    figures(&format!("  by hand, s:              {}", s(hand)));
    figures(&format!("  drbot, sum of steps, s:  {}", s(bot.iter().map(|t| t.steps).collect())));
    figures(&format!("  drbot, with chat, s:     {}", s(bot.iter().map(|t| t.wall).collect())));
    figures(&format!(
        "  speed against by hand:   {:.3} (steps), {:.3} (with chat); wanted 0.9",
        median(ratios),
        median(whole)
    ));
    figures(&format!("  drbot's peak memory:     {:.1} MiB before, {:.1} MiB after", before, peak(&loss)));
    loss.saas.finish();
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// The most memory the bot ever had, in MiB.
fn peak(loss: &Loss) -> f64 {
    let pid = loss.saas.world.bot.pid().expect("the bot runs");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1_024.0
}

async fn by_runbook(loss: &Loss, number: usize) -> Took {
    let saas = &loss.saas;
    loss.to_the_download(number).await;
    let name = format!("INC-{number} ");
    let see = async |part: &str| {
        let wanted = |m: &_| {
            let text = plain_text(m);
            text.contains(&name) && text.contains(part) && (text.contains("/dr approve") || part.contains("/dr done"))
        };
        saas.world.slack.wait_message(CHANNEL, wanted, LONG).await.unwrap_or_else(|e| panic!("{e}"))
    };
    let card = see("step: Load the backup").await;
    for person in ["bob", "carol"] {
        saas.world.say(person, &format!("approve {}", approval_id(&card))).await;
    }
    see("/dr done surroundings").await;
    let took = took(loss, number).await;
    saas.world.say("alice", &format!("abort INC-{number} measured")).await;
    took
}

/// From the bot's own record: each step from its start to its proof.
async fn took(loss: &Loss, number: usize) -> Took {
    let store = Store::open(&loss.saas.world.store).await.expect("the store");
    let history = store.history(&CaseId::incident(number as u64), 0, u32::MAX).await.expect("a history");
    store.close().await;
    let (mut begun, mut ended) = (BTreeMap::new(), BTreeMap::new());
    for entry in history {
        match entry.event {
            Event::StepStarted { step, .. } => {
                begun.insert(step, entry.at);
            }
            Event::StepEnded { step, end: StepEnd::Done { .. }, .. } | Event::StepVerified { step, ok: true, .. } => {
                ended.insert(step, entry.at);
            }
            _ => {}
        }
    }
    // The restore is part of the runbook that was started.
    let named = |step: &str| format!("restore-{step}");
    let end = |step: &str| ended[&named(step)];
    let each: Vec<Duration> = STEPS.iter().map(|s| end(s).since(begun[&named(s)]).std()).collect();
    Took { steps: each.iter().sum(), each, wall: end("counts").since(begun[&named("download")]).std() }
}

/// The recipe of the runbook as a shell script, run to its end.
async fn by_hand(loss: &Loss) -> Took {
    let folder = loss.work.0.join("hand");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("expected.txt"), expected(&loss.store.0.join("manifest.json"))).expect("written");
    let script = folder.join("restore.sh");
    fs::write(&script, recipe(loss, &folder).await).expect("written");
    let service = folder.join("service");
    let login = format!(
        "host=127.0.0.1\nport={}\nuser=restorer\npassword={PASSWORD}\ndbname={HAND}",
        loss.saas.database.port()
    );
    fs::write(&service, format!("[recovery]\n{login}\n")).expect("written");
    let begun = Instant::now();
    let mut bash = Command::new("bash");
    bash.arg(&script)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .env("GNUPGHOME", loss.home())
        .env("PGSERVICEFILE", &service);
    let out = bash.output().expect("bash");
    let took = begun.elapsed();
    assert!(out.status.success(), "by hand: {}", String::from_utf8_lossy(&out.stderr));
    let marks: Vec<f64> = fs::read_to_string(folder.join("marks"))
        .expect("marks")
        .lines()
        .map(|l| l.parse().expect("seconds since 1970"))
        .collect();
    fs::remove_dir_all(&folder).expect("removed");
    let each = marks.windows(2).map(|w| Duration::from_secs_f64(w[1] - w[0])).collect();
    Took { each, steps: took, wall: took }
}

/// What the backup job counted, as the runbook writes it down.
fn expected(manifest: &Path) -> String {
    let list: serde_json::Value = serde_json::from_slice(&fs::read(manifest).expect("a manifest")).expect("JSON");
    let counts = list[0]["counts"].as_object().expect("counts");
    let mut lines: Vec<String> = counts.iter().map(|(k, v)| format!("{k} {v}\n")).collect();
    lines.sort();
    lines.concat()
}

async fn recipe(loss: &Loss, folder: &Path) -> String {
    let text = fs::read_to_string(commands().join("restore-backup.yaml")).expect("the runbook");
    let runbook: Runbook = drbot::parse::yaml::read("restore-backup.yaml", &text).expect("it loads");
    let list: serde_json::Value =
        serde_json::from_slice(&fs::read(loss.store.0.join("manifest.json")).expect("a manifest")).expect("JSON");
    let said = |name: &str| list[0][name].as_str().unwrap_or_default().to_owned();
    let values: BTreeMap<String, String> = [
        ("store", format!("file://{}", loss.store.0.display())),
        ("store_config", format!("{}/curl", loss.home())),
        ("passphrase_file", format!("{}/pass", loss.home())),
        ("folder", folder.display().to_string()),
        ("key", said("key")),
        ("sha256", said("sha256")),
        ("ref", NEW.to_owned()),
        ("system", loss.saas.ask("select system_identifier::text from pg_control_system()").await),
    ]
    .map(|(k, v)| (k.to_owned(), v))
    .into();
    let mark = format!("echo $EPOCHREALTIME >> {}/marks", folder.display());
    let mut script = format!("set -euo pipefail\n{mark}\n");
    for id in STEPS {
        let step = runbook.steps.iter().find(|s| s.id == id).expect(id);
        let task: &Task = step.work.task().expect("a system does it");
        let _ = writeln!(script, "{} >/dev/null", line(task.run.as_ref().expect("programs"), &values));
        for check in &task.verify {
            let Some(run) = &check.run else { continue };
            let line = line(run, &values);
            let _ = match check.id.as_str() {
                "gpg-says" => writeln!(script, "[ \"$({line})\" = 'DECRYPTION_OKAY GOODMDC' ]"),
                "no-nul" => writeln!(script, "! {line} >/dev/null"),
                _ => writeln!(script, "{line} >/dev/null"),
            };
        }
        let _ = writeln!(script, "{mark}");
    }
    script
}

/// One pipeline for a shell.
fn line(run: &ProcessAsk, values: &BTreeMap<String, String>) -> String {
    let quote = |word: &String| format!("'{}'", fill(word, values).replace('\'', r"'\''"));
    let programs = run.pipe.iter().map(|p| p.iter().map(quote).collect::<Vec<_>>().join(" "));
    let stdin = run.stdin.iter().map(|text| format!("printf %s {}", quote(text)));
    stdin.chain(programs).collect::<Vec<_>>().join(" | ")
}
