//! Program steps through the running bot: previewed, approved, run without a shell, judged by what the
//! programs left on disk and by the memory of the bot's own process.

use std::fs;

use drbot::practice::slack::plain_text;

use crate::support::Folder;
use crate::world::{World, approval_id, runbooks};

const HEAD: &str = r#"
title: Pack a folder
tier: 2
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 5m
"#;

/// Packs a file that somebody approved, by its name and size.
const PACK: &str = r#"
params:
  folder: { type: text }
detect:
  every: 1h
  failures: 1
  checks:
    - { id: there, target: tools, run: { pipe: [[ls, /]] }, expect: { rows: { at_least: 1 } }, figure: "{line}" }
steps:
  - id: pack
    title: Pack what is in {folder}
    timeout: 20s
    do:
      process:
        target: tools
        effect: once
        risk: disruptive
        preview:
          run: { pipe: [[ls, -1, "{folder}"]] }
          identity: [line]
          tolerance: { rows: none }
        run: { pipe: [[cat, "{folder}/{line}"], [gzip, -c], [tee, "{folder}.gz"], [wc, -c]] }
        verify:
          - { id: packed, target: tools, run: { pipe: [[gzip, -t, "{folder}.gz"]] }, expect: {}, figure: "gzip -t ended with {exit}" }
        undo: "none: the folder stays as it is"
verify:
  - { id: sound, target: tools, run: { pipe: [[gzip, -t, "{folder}.gz"]] }, expect: {}, figure: "gzip -t ended with {exit}" }
"#;

const FLOOD: &str = r#"
detect:
  every: 1h
  failures: 1
  checks:
    - { id: there, target: tools, run: { pipe: [[ls, /]] }, expect: {}, figure: "{line}" }
steps:
  - id: flood
    title: Write a gigabyte
    timeout: 100s
    do:
      process: { target: tools, effect: observe, risk: safe, run: { pipe: [[seq, "1", "112000000"]] } }
verify:
  - { id: fine, target: tools, run: { pipe: [[ls, /]] }, expect: {}, figure: "{exit}" }
"#;

async fn world(name: &str, text: &str) -> (World, Folder) {
    let files = runbooks(&[(name, &format!("runbook: {name}{HEAD}{text}"))]);
    let programs = ["ls", "cat", "gzip", "tee", "wc", "seq"].map(|p| format!("{p}: /usr/bin/{p}")).join(", ");
    let world = World::with(false, |w| {
        w.runbooks = files.0.clone();
        let secret = files.0.join("note");
        fs::write(&secret, "hunter2-is-a-secret\n").expect("written");
        w.more_targets
            .push(format!("tools: {{ programs: {{ {programs} }}, env_files: {{ NOTE: {} }} }}", secret.display()));
        w.parameters.clear();
    })
    .await;
    (world, files)
}

#[tokio::test]
async fn a_pipeline_runs_as_approved_with_every_exit_checked() {
    let (world, files) = world("pack", PACK).await;
    let plain = files.0.join("plain");
    fs::create_dir(&plain).expect("a folder");
    fs::write(plain.join("data.txt"), "hunter2-is-a-secret\n".repeat(100)).expect("written");
    world.say("alice", "declare pack").await;
    let refused = world.say("alice", "run pack").await;
    assert!(refused.contains("`folder` needs a value"), "{refused}");
    world.say("alice", &format!("run pack folder={}", plain.display())).await;
    let card = world.see(|t| t.contains("Or type: /dr approve")).await;
    let text = plain_text(&card);
    assert!(
        text.contains(&format!("cat {0}/data.txt\n  | gzip -c\n  | tee {0}.gz\n  | wc -c", plain.display())),
        "{text}"
    );
    assert!(text.contains("/usr/bin/cat"), "which programs these are: {text}");
    assert!(!plain.with_extension("gz").exists(), "nothing before the approval");
    world.say("bob", &format!("approve {}", approval_id(&card))).await;
    world.see(|t| t.contains("Verified: gzip -t ended with 0")).await;
    assert!(plain.with_extension("gz").exists());
    let shown = world.say("alice", "show pack").await;
    assert!(!shown.contains("hunter2"), "{shown}");
    world.finish();
}

/// A gigabyte from one step: the bot's memory hardly moves, and the file says what is missing.
#[tokio::test]
async fn a_gigabyte_of_output_hardly_moves_the_bots_memory() {
    let (world, _files) = world("flood", FLOOD).await;
    world.say("alice", "declare flood").await;
    let pid = world.bot.pid().expect("running");
    let before = peak(pid);
    world.say("alice", "run flood").await;
    let card = world.see(|t| t.contains("Write a gigabyte (done") || t.contains("Write a gigabyte (not done")).await;
    let moved = peak(pid) - before;
    assert!(plain_text(&card).contains("(done"), "{}", plain_text(&card));
    crate::support::figures(&format!("1 GB from a program moved the bot's peak memory by {moved} KiB"));
    assert!(moved <= 32 * 1024, "peak memory moved by {moved} KiB: {}", plain_text(&card));
    let size = fs::metadata(world.folder().join("drbot.db.output/inc-1.r1.flood.1.txt")).expect("the output").len();
    assert!((60 << 20..=64 << 20).contains(&size), "{size} bytes kept");
    world.finish();
}

/// The highest memory a process ever had, in KiB, as the kernel says.
fn peak(pid: u32) -> i64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process");
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
}
