//! Programs run without a shell and end with everything they leave behind. The judge is the system's
//! table of processes, the files written and the arguments as another program saw them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use drbot::execute::process::{Gate, Order, run};
use drbot::model::process::{Exit, Pipeline, ProcessEnd, Program, Ran};
use drbot::model::time::Span;
use tokio::time::{Instant, sleep, timeout};

use crate::support::Folder;

fn program(path: &str, args: &[&str]) -> Program {
    Program { path: path.to_owned(), args: args.iter().map(|a| (*a).to_owned()).collect() }
}

fn pipeline(programs: &[(&str, &[&str])]) -> Pipeline {
    let programs = programs.iter().map(|(path, args)| program(path, args)).collect();
    Pipeline { programs, timeout: Span::seconds(120), env: vec![], stdin: None, columns: vec![] }
}

fn python(script: &str) -> Pipeline {
    let mut found = pipeline(&[("/usr/bin/env", &["python3", "-c", script])]);
    found.timeout = Span::seconds(60);
    found
}

fn plain(text: &str) -> String {
    text.to_owned()
}

fn order<'a>(execution: &'a str, pipeline: &'a Pipeline, folder: &'a Path) -> Order<'a> {
    Order { execution, pipeline, folder, grace: Span(300), gate: Gate { redact: &plain, overlap: 16 } }
}

async fn ran(execution: &str, pipeline: &Pipeline) -> Ran {
    let folder = Folder::new();
    match run(order(execution, pipeline, &folder.0)).await {
        ProcessEnd::Exited(ran) => ran,
        other => panic!("{other:?}"),
    }
}

async fn not_started(pipeline: &Pipeline) -> String {
    let folder = Folder::new();
    match run(order("none", pipeline, &folder.0)).await {
        ProcessEnd::NotStarted { why } => why,
        other => panic!("{other:?}"),
    }
}

/// Living processes with this in their command line; the dead have none.
fn survivors(sign: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(|e| fs::read(e.ok()?.path().join("cmdline")).ok());
    let lines = entries.map(|c| String::from_utf8_lossy(&c).replace('\0', " "));
    lines.filter(|l| l.contains(sign)).collect()
}

fn hostile() -> Vec<String> {
    let seeds = [
        "$(id)",
        "`id`",
        ";id",
        "&& id",
        "| id",
        "> /x",
        "< /x",
        "*",
        "?",
        "~",
        "~root",
        "$HOME",
        "${IFS}",
        "\\",
        "\\\\",
        "'",
        "\"",
        "''",
        "\"\"",
        "\n",
        "\r\n",
        "\t",
        " ",
        "",
        "-",
        "--",
        "-x",
        "--help",
        "@file",
        "!!",
        "#",
        "%s%n",
        "{a,b}",
        "[a]",
        "\u{1b}[31m",
        "\u{202e}abc",
        "\u{200b}",
        "ä",
        "日本",
        "🦀",
        "\u{7f}",
        "\u{1}",
        "a=b",
        "\u{feff}",
    ];
    let wraps: [fn(&str) -> String; 5] =
        [str::to_owned, |s| format!("a{s}b"), |s| format!("{s}{s}"), |s| format!("'{s}'"), |s| format!("\"{s}\n")];
    wraps.iter().flat_map(|w| seeds.iter().map(|s| w(s))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_arrive_byte_for_byte() {
    let sent = hostile();
    assert!(sent.len() >= 200, "{}", sent.len());
    let script = "import sys,os\nfor a in sys.argv[1:]: print(os.fsencode(a).hex())";
    let mut pipeline = python(script);
    pipeline.programs[0].args.extend(sent.iter().cloned());
    let got = ran("args", &pipeline).await;
    let seen: Vec<String> = got.head.lines().map(str::to_owned).collect();
    let wanted: Vec<String> = sent.iter().map(hex::encode).collect();
    assert_eq!(seen, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_sees_only_what_it_is_given() {
    let mut pipeline = pipeline(&[("/usr/bin/env", &[])]);
    pipeline.env = vec![("PGUSER".to_owned(), "drill".to_owned())];
    let got = ran("env-1", &pipeline).await;
    let mut names: Vec<&str> = got.head.lines().collect();
    names.sort_unstable();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names[0].starts_with("DRBOT_EXECUTION=env-1~"), "{names:?}");
    assert_eq!((names[1], names[3]), ("LANG=C.UTF-8", "PGUSER=drill"));
    assert!(names[2].starts_with("PATH=/usr/local"));
    for name in ["PATH", "LANG", "DRBOT_EXECUTION", "LD_PRELOAD", "A=B", ""] {
        pipeline.env = vec![(name.to_owned(), "x".to_owned())];
        assert!(not_started(&pipeline).await.contains(name), "{name}");
    }
    // Files that are open here are not open there.
    let folder = Folder::new();
    let held = fs::File::create(folder.0.join("held-by-drbot")).unwrap();
    let list = "import os\nfor n in range(3, 200):\n    try: print(os.readlink('/proc/self/fd/%d' % n))\n    except OSError: pass";
    let open = ran("descriptors", &python(list)).await;
    assert!(open.good() && !open.head.contains("drbot"), "{}", open.head);
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn input_is_given_and_closed_or_empty() {
    let mut cat = pipeline(&[("/bin/cat", &[])]);
    assert_eq!(ran("in-1", &cat).await.bytes, 0);
    cat.stdin = Some("line\n".repeat(100_000));
    let got = ran("in-2", &cat).await;
    assert_eq!((got.bytes, got.lines, got.good()), (500_000, 100_000, true));
    // One that does not read a large input neither hangs nor fails.
    let mut deaf = pipeline(&[("/bin/true", &[])]);
    deaf.stdin = cat.stdin;
    assert!(ran("in-3", &deaf).await.good());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_must_succeed() {
    const GOOD: Exit = Exit { code: Some(0), signal: None };
    const BAD: Exit = Exit { code: Some(1), signal: None };
    let (no, yes) = ("/bin/false", "/bin/true");
    for ([one, two], exits) in [([no, yes], [BAD, GOOD]), ([yes, no], [GOOD, BAD]), ([yes, yes], [GOOD, GOOD])] {
        let got = ran("members", &pipeline(&[(one, &[]), (two, &[])])).await;
        assert_eq!(got.exits, exits);
        assert_eq!(got.good(), exits == [GOOD, GOOD]);
    }
    let killed = ran("killed", &python("import os; print('so far', flush=True); os.kill(os.getpid(), 9)")).await;
    assert_eq!(killed.exits, [Exit { code: None, signal: Some(9) }]);
    assert_eq!((killed.good(), killed.last()), (false, "so far\n"));
    let piped = ran("piped", &pipeline(&[("/bin/echo", &["b\na"]), ("/usr/bin/sort", &[])])).await;
    assert_eq!((piped.head.as_str(), piped.good()), ("a\nb\n", true));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_streams_are_kept_in_order() {
    let script = "import os\nfor i in range(200): os.write(1 + i % 2, b'%d\\n' % i)";
    let got = ran("order", &python(script)).await;
    let wanted: String = (0..200).map(|i| format!("{i}\n")).collect();
    assert_eq!(got.head, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_start_did_certainly_not() {
    let folder = Folder::new();
    let write = |name: &str, text: &str, mode: u32| {
        let path = folder.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mark = folder.0.join("ran");
    let touch = format!("touch {}\n", mark.display());
    let (locked, bare) = (write("locked", "#!/bin/sh\n", 0o600), write("bare", &touch, 0o700));
    let lost = write("lost", "#!/no/such/interpreter\n", 0o700);
    let table = [
        ("/no/such/program", "install it"),
        (locked.as_str(), "chmod"),
        ("/tmp", "not a file"),
        ("true", "absolute"),
        (bare.as_str(), "could not be started"),
        (lost.as_str(), "could not be started"),
    ];
    for (path, word) in table {
        let why = not_started(&pipeline(&[(path, &[])])).await;
        assert!(why.contains(path) && why.contains(word), "{why}");
        // In a pipeline, what comes before it must not run either.
        let mark = mark.to_str().unwrap();
        not_started(&pipeline(&[("/usr/bin/touch", &[mark]), (path, &[])])).await;
        assert!(!Path::new(mark).exists(), "{path}");
    }
    assert!(not_started(&pipeline(&[])).await.contains("no program"));
    assert!(not_started(&pipeline(&[("/bin/echo", &["a\0b"])])).await.contains("zero byte"));
    let fine = pipeline(&[("/bin/true", &[])]);
    for id in ["", ".", "../x", "a/b", "a b"] {
        assert!(matches!(run(order(id, &fine, &folder.0)).await, ProcessEnd::NotStarted { .. }), "{id}");
    }
    // One that starts late after others ran cannot be called certain.
    let late = pipeline(&[(bare.as_str(), &[]), ("/bin/cat", &[])]);
    assert!(matches!(run(order("late", &late, &folder.0)).await, ProcessEnd::Lost { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ignores_the_request_to_end_is_killed() {
    let folder = Folder::new();
    let sign = "sign-stubborn-4711";
    let script = format!(
        "import signal,time,subprocess; signal.signal(15, signal.SIG_IGN); print('{sign}', flush=True)\nsubprocess.Popen(['/bin/sleep','987654.1'])\nwhile True: time.sleep(1)"
    );
    let mut pipeline = python(&script);
    pipeline.timeout = Span(700);
    let begun = Instant::now();
    let end = run(order("stubborn", &pipeline, &folder.0)).await;
    let ProcessEnd::TimedOut(ran) = end else { panic!("{end:?}") };
    assert_eq!(ran.exits, [Exit { code: None, signal: Some(9) }]);
    assert!(begun.elapsed() >= Duration::from_millis(1_000), "the grace was given");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(survivors(sign), Vec::<String>::new());
    assert_eq!(survivors("987654.1"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_listens_ends_by_itself() {
    let folder = Folder::new();
    let script = "import signal,sys,time\ndef bye(*a): print('bye', flush=True); sys.exit(7)\nsignal.signal(15, bye); print('up', flush=True)\nwhile True: time.sleep(1)";
    let mut pipeline = python(script);
    pipeline.timeout = Span(1_500);
    let end = run(Order { grace: Span::seconds(30), ..order("polite", &pipeline, &folder.0) }).await;
    let ProcessEnd::TimedOut(ran) = end else { panic!("{end:?}") };
    assert_eq!((ran.exits, ran.head.as_str()), (vec![Exit { code: Some(7), signal: None }], "up\nbye\n"));
}

/// A daemon: new session and two forks, then `before`, and a sleep with `env` as its environment.
fn daemon(sleep: &str, before: &str, env: &str) -> String {
    format!(
        "import os, resource as r\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        {before}; os.execve('/bin/sleep', ['sleep', '{sleep}'], {env})\n    os._exit(0)\nprint('done', flush=True)"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hides_or_holds_the_output_does_not_survive_and_does_not_delay() {
    let unlimited = "h = r.getrlimit(r.RLIMIT_MSGQUEUE)[1]; r.setrlimit(r.RLIMIT_MSGQUEUE, (h, h))";
    let table = [("os.closerange(0, 64)", "{}"), ("pass", "{}"), (unlimited, "dict(os.environ)")];
    for (i, (before, env)) in table.into_iter().enumerate() {
        let sleep = format!("{}.{i}", 80_000_000 + std::process::id());
        let script = python(&daemon(&sleep, before, env));
        let begun = Instant::now();
        let got = ran(&format!("daemon-{i}"), &script).await;
        assert_eq!((got.head.as_str(), got.good()), ("done\n", true));
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        assert_eq!(survivors(&sleep), Vec::<String>::new(), "{before} {env}");
    }
    let held = pipeline(&[("/bin/sh", &["-c", "sleep 87654.7 & echo done"])]);
    let begun = Instant::now();
    let got = ran("holder", &held).await;
    assert_eq!((got.head.as_str(), got.strays), ("done\n", 1));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(survivors("87654.7"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_escapes_leave_nobody_and_harm_nobody() {
    // A neighbour that is not ours to end.
    let mut neighbour = tokio::process::Command::new("/bin/sleep").arg("76543.9").kill_on_drop(true).spawn().unwrap();
    let script = "import os\nfor i in range(100):\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n            os.execve('/bin/sleep', ['sleep', '76543.2'], {} if i % 2 else dict(os.environ))\n        os._exit(0)\n";
    let one = python(script);
    let two = python(script);
    let (a, b) = tokio::join!(ran("crowd-1", &one), ran("crowd-2", &two));
    assert!(a.good() && b.good());
    assert_eq!(survivors("76543.2"), Vec::<String>::new());
    assert!(neighbour.try_wait().unwrap().is_none(), "the neighbour lives");
    neighbour.kill().await.unwrap();
}

/// Two installations on one machine both have an `inc-1.r1.look.1`: the end of one is not the end of the other.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_name_at_once_harms_nobody() {
    let (short, long) = (python("import time; time.sleep(0.5)"), python("import time; time.sleep(2); print('whole')"));
    let later = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        ran("twin", &long).await
    };
    let (first, second) = tokio::join!(ran("twin", &short), later);
    assert!(first.good() && first.strays == 0, "{first:?}");
    assert_eq!(second.head, "whole\n", "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_up_on_the_outcome_ends_the_tree() {
    let folder = Folder::new();
    let pipeline = pipeline(&[("/bin/sh", &["-c", "setsid sleep 65432.1 & sleep 65432.1"])]);
    let go = run(order("dropped", &pipeline, &folder.0));
    let seen = async {
        while survivors("65432.1").len() < 2 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        end = go => panic!("{end:?}"),
        seen = timeout(Duration::from_secs(20), seen) => seen.unwrap(),
    }
    let gone = async {
        while !survivors("65432.1").is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), gone).await.unwrap();
}
