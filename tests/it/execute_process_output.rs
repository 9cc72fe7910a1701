//! What programs write: floods do not grow memory, nothing is dropped without saying so, and a secret
//! is found wherever the pieces are cut. The judge is the kept file and the system's own figures.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use drbot::execute::process::{Gate, Order, run};
use drbot::model::process::{Pipeline, ProcessEnd, Program, Ran};
use drbot::model::time::Span;

use crate::support::Folder;

const SECRET: &str = "hunter2-\u{e4}-correct-horse";

fn masked(text: &str) -> String {
    text.replace(SECRET, "[hidden]")
}

fn pipeline(programs: &[(&str, &[&str])]) -> Pipeline {
    let one = |(path, args): &(&str, &[&str])| Program {
        path: (*path).to_owned(),
        args: args.iter().map(|a| (*a).to_owned()).collect(),
    };
    Pipeline {
        programs: programs.iter().map(one).collect(),
        timeout: Span::minutes(4),
        env: vec![],
        stdin: None,
        columns: vec![],
    }
}

async fn ran(execution: &str, pipeline: &Pipeline, folder: &Folder) -> Ran {
    let gate = Gate { redact: &masked, overlap: SECRET.len() };
    let end = run(Order { execution, pipeline, folder: &folder.0, grace: Span(300), gate }).await;
    let ProcessEnd::Exited(ran) = end else { panic!("{end:?}") };
    assert!(ran.good(), "{}", ran.why());
    ran
}

fn file(ran: &Ran) -> Vec<u8> {
    assert_eq!(ran.file_fault, None);
    fs::read(ran.file.as_ref().unwrap()).unwrap()
}

/// The most memory this process ever had, in KiB, counted from now.
fn peak(reset: bool) -> u64 {
    if reset {
        fs::write("/proc/self/clear_refs", "5").unwrap();
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Run in a process of its own, so that other tests' memory is not measured.
async fn alone(name: &str) {
    let me = std::env::current_exe().unwrap();
    let test = format!("execute_process_output::{name}");
    let mut command = tokio::process::Command::new(me);
    command.args([test.as_str(), "--exact", "--ignored", "--nocapture"]);
    let out = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&out.stderr));
}

#[tokio::test]
async fn a_gigabyte_does_not_move_memory() {
    alone("a_gigabyte").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by a_gigabyte_does_not_move_memory, alone in a process"]
async fn a_gigabyte() {
    let folder = Folder::new();
    let small = pipeline(&[("/bin/echo", &["warm"])]);
    ran("warm", &small, &folder).await;
    let flood = pipeline(&[("/usr/bin/head", &["-c", "1G", "/dev/zero"]), ("/usr/bin/tr", &["\\0", "x"])]);
    let before = peak(true);
    let got = ran("flood", &flood, &folder).await;
    let grown = peak(false).saturating_sub(before);
    assert!(grown <= 32 * 1024, "{grown} KiB more");
    assert_eq!((got.bytes, got.lines), (1 << 30, 1));
    assert_eq!((got.head.len(), got.head.trim_matches('x')), (64 * 1024, ""));
    assert!(got.tail.len() >= 63 * 1024 && got.tail.trim_matches('x').is_empty(), "{}", got.tail.len());
    let kept = file(&got);
    assert!(kept.len() <= 64 << 20 && kept.len() > 60 << 20, "{}", kept.len());
    let note = format!("\n[{} bytes not kept]\n", got.not_kept);
    assert_eq!(kept.len() as u64 - note.len() as u64 + got.not_kept, got.bytes);
    let text = String::from_utf8(kept).unwrap();
    assert!(text.contains(&note) && text.ends_with('x'));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_everything_and_only_we_may_read_it() {
    let folder = Folder::new();
    let got = ran("lines", &pipeline(&[("/usr/bin/seq", &["1", "300000"])]), &folder).await;
    let wanted: String = (1..=300_000).map(|i| format!("{i}\n")).collect();
    assert_eq!((got.bytes, got.lines, got.not_kept), (wanted.len() as u64, 300_000, 0));
    assert!(file(&got) == wanted.as_bytes());
    assert_eq!(got.head, wanted[..64 * 1024]);
    assert_eq!(got.tail, wanted[wanted.len() - 64 * 1024..]);
    let mode = fs::metadata(got.file.unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_line_of_a_hundred_megabytes_keeps_its_ends() {
    let folder = Folder::new();
    let script =
        "import sys\nw = sys.stdout.buffer.write\nw(b'<first>')\nfor i in range(100): w(b'y' * 1000000)\nw(b'<last>')";
    let got = ran("long", &pipeline(&[("/usr/bin/env", &["python3", "-c", script])]), &folder).await;
    assert_eq!((got.bytes, got.lines), (100_000_013, 1));
    assert!(got.head.starts_with("<first>y") && got.tail.ends_with("y<last>"));
    assert!(file(&got).ends_with(b"y<last>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_become_escapes() {
    let folder = Folder::new();
    let script = "import sys\nsys.stdout.buffer.write(b'a\\xff\\xc3(\\x1b[31m\\0\\xe2\\x82\\xac\\tz\\r\\n' + bytes(range(256)) * 2000)";
    let got = ran("binary", &pipeline(&[("/usr/bin/env", &["python3", "-c", script])]), &folder).await;
    assert!(got.head.starts_with("a\\xff\\xc3(\\x1b[31m\\x00\u{20ac}\tz\\x0d\n"), "{}", &got.head[..60]);
    let kept = String::from_utf8(file(&got)).unwrap();
    assert!(kept.chars().all(|c| !c.is_control() || "\n\t".contains(c)));
    assert_eq!(got.bytes, 512_017);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_the_file_and_not_the_step() {
    let echo = pipeline(&[("/bin/echo", &["still here"])]);
    let folder = std::path::Path::new("/no/such/folder");
    let gate = Gate { redact: &masked, overlap: 8 };
    let end = run(Order { execution: "nowhere", pipeline: &echo, folder, grace: Span(300), gate });
    let ProcessEnd::Exited(got) = end.await else { panic!("it should have run") };
    assert_eq!((got.head.as_str(), got.file), ("still here\n", None));
    assert!(got.file_fault.unwrap().contains("not kept"));
}

/// The secret at every distance from the pieces' edges, slowly and at once, in text and among bytes that
/// are none.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_found_across_every_edge() {
    let script = r"
import os, sys, time
secret = sys.argv[1].encode()
def put(b):
    while b: b = b[os.write(1, b):]
for fill in range(65536 - 60, 65536 + 120, 3):
    put(b'.' * fill + secret)
for cut in range(1, len(secret)):
    put(secret[:cut]); put(secret[cut:] + b'\n')
for b in secret * 3: put(bytes([b]))
put(b'\xff' + secret + b'\xfe' + secret[:-1] + b'\n')
put(secret * 9000)
";
    let folder = Folder::new();
    let one = pipeline(&[("/usr/bin/env", &["python3", "-c", script, SECRET])]);
    let got = ran("edges", &one, &folder).await;
    let kept = String::from_utf8(file(&got)).unwrap();
    let hidden = 60 + (SECRET.len() - 1) + 3 + 1 + 9_000;
    assert_eq!(kept.matches("[hidden]").count(), hidden);
    for text in [&kept, &got.head, &got.tail] {
        assert!(!text.contains(SECRET));
        // The one beginning that was written without its end is no secret; its end never shows.
        assert!(!text.contains("correct-horse"), "half a secret");
    }
}

/// When the middle is not kept, the place where the end begins may cut a secret as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_found_where_the_end_begins() {
    let folder = Folder::new();
    for extra in 0..4 {
        let script = "import sys\ns = sys.argv[1].encode()\nw = sys.stdout.buffer.write\nfor i in range(70): w(b'.' * 1000000)\nw(b'.' * int(sys.argv[2]) + s * 10000)";
        let extra = (extra * 7).to_string();
        let one = pipeline(&[("/usr/bin/env", &["python3", "-c", script, SECRET, &extra])]);
        let got = ran(&format!("ends-{extra}"), &one, &folder).await;
        assert!(got.not_kept > 0);
        let kept = String::from_utf8(file(&got)).unwrap();
        let after = kept.split("bytes not kept]\n").nth(1).unwrap();
        for text in [after, &got.tail] {
            assert_eq!(text.replace("[hidden]", "").trim_start_matches(|c| "[hiden]".contains(c)), "", "half a secret");
        }
        assert!(!kept.contains(SECRET));
    }
}
