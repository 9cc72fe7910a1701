//! Each law shown a small breach, which it must see, and a small obedience, which it must leave alone.

use super::laws;
use super::rust::Source;

fn one(path: &str, text: &str) -> Vec<Source> {
    vec![Source::new(path, text)]
}

fn two(a: (&str, &str), b: (&str, &str)) -> Vec<Source> {
    vec![Source::new(a.0, a.1), Source::new(b.0, b.1)]
}

#[test]
fn cycles_are_seen_through_trees_and_supers() {
    let tree = two(("src/a.rs", "use crate::{model::X, b::{self, Y}};"), ("src/b/mod.rs", "fn f() { crate::a::g() }"));
    assert_eq!(laws::cycles(&tree), ["a <-> b"]);
    let up = two(("src/a/x.rs", "use super::super::b::Y;"), ("src/b.rs", "use super::a;"));
    assert_eq!(laws::cycles(&up), ["a <-> b"]);
    let mut long = two(("src/a.rs", "use crate::b;"), ("src/b.rs", "use crate::c;"));
    long.extend(one("src/c.rs", "use crate::a;"));
    assert_eq!(laws::cycles(&long), ["a <-> b <-> c"]);
    let tests = two(("src/a.rs", "use crate::b;"), ("src/b.rs", "#[cfg(test)]\nmod tests { use crate::a; }\n"));
    assert!(laws::cycles(&tests).is_empty(), "tests may look anywhere");
    let said = two(("src/a.rs", "use crate::b;"), ("src/b.rs", "// crate::a\nconst A: &str = \"crate::a\";"));
    assert!(laws::cycles(&said).is_empty(), "a comment is no import");
    let own = two(("src/a/x.rs", "use super::y;"), ("src/a/y.rs", "use super::x;"));
    assert!(laws::cycles(&own).is_empty(), "inside a module anything goes");
}

#[test]
fn sideways_imports_are_seen() {
    let seen = |path, text| laws::sideways(&one(path, text)).into_iter().collect::<Vec<_>>();
    assert_eq!(seen("src/persist/read.rs", "use crate::{clock, model::id::Ids};"), ["persist -> clock"]);
    assert_eq!(seen("src/post/rate.rs", "fn f() { crate::clock::now() }"), ["post -> clock::now"]);
    assert_eq!(seen("src/model/id.rs", "use crate::decide::x;"), ["model -> decide::x"]);
    assert_eq!(seen("src/parse/slack.rs", "use crate::verify::Verified;"), [laws::SIDEWAYS]);
    assert_eq!(seen("src/decide/x.rs", "use crate::decide::policy; use crate::model::id;"), Vec::<String>::new());
    assert_eq!(seen("src/worker/x.rs", "use crate::post::rate;"), Vec::<String>::new());
    assert_eq!(seen("src/stuff.rs", ""), ["stuff is neither model, stage nor shell"]);
}

#[test]
fn impure_words_are_seen() {
    let seen = |text| laws::impure(&one("src/decide/x.rs", text)).len();
    for text in ["async fn f() {}", "use std::time::{Duration, Instant};", "use std::{fs, fmt};", "tokio::spawn(x)"] {
        assert_eq!(seen(text), 1, "{text}");
    }
    assert_eq!(seen("use std::time::Duration; // no tokio\nlet s = \"sqlx\"; let async_like = 1;"), 0);
    assert_eq!(laws::impure(&one("src/worker/x.rs", "async fn f() {}")).len(), 0);
}

#[test]
fn traits_are_counted() {
    let text = "pub trait A {}\n/// trait B\ntrait C<T>: D {}\nimpl A for X {}";
    assert_eq!(laws::traits(&one("src/x.rs", text)).len(), 2);
}

#[test]
fn sizes_are_measured() {
    let seen = |path: &str, text: &str| laws::sizes(&one(path, text));
    let long = format!("fn long() {{\n{}}}\n", "    let x = '}';\n".repeat(69));
    assert_eq!(seen("src/x.rs", &long).len(), 1);
    assert_eq!(seen("src/x.rs", &long.replacen("    let x = '}';\n", "", 1)).len(), 0);
    assert_eq!(seen("src/x.rs", &"//\n".repeat(501)).len(), 1);
    let six = "fn f<T: Fn(u8) -> u8>(a: A<B, C>, b: [u8; 2], c: fn(u8, u8), d: (u8, u8), e: T, g: u8) {}";
    assert_eq!(seen("src/x.rs", six), ["src/x.rs: `f` takes 6 parameters, at most 5"]);
    assert_eq!(seen("src/x.rs", &six.replace("a: A<B, C>", "&mut self")).len(), 0);
    let decide = "pub fn decide(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8) {}";
    assert_eq!(seen("src/decide/mod.rs", decide).len(), 0);
    assert_eq!(seen("src/engine/mod.rs", decide).len(), 1);
}

#[test]
fn banned_words_and_attributes_are_seen() {
    let seen = |text| laws::banned(&one("src/x.rs", text)).len();
    for text in [
        "unsafe { x() }",
        concat!("fn f() { to", "do!() }"),
        "#[allow(dead_code)] fn f() {}",
        "#![allow(dead_code)]",
        "#[cfg_attr(unix, allow(dead_code))] fn f() {}",
        "#[expect(dead_code)] fn f() {}",
        "#[expect(dead_code, reason = \"\")] fn f() {}",
    ] {
        assert_eq!(seen(text), 1, "{text}");
    }
    assert_eq!(seen("#[expect(dead_code, reason = \"shown later\")] fn f() {}"), 0);
    assert_eq!(seen("// unsafe\nlet x = r#\"#[allow(y)] unsafe\"#; x.expect(\"y\"); allow(1);"), 0);
}

#[test]
fn test_forks_are_seen() {
    let seen = |text| laws::test_forks(&one("src/x.rs", text)).len();
    for text in [
        "if cfg!(test) { 1 } else { 2 }",
        "#[cfg(test)]\nfn only_here() {}",
        "#[cfg(not(test))]\nfn f() {}",
        "#[cfg(any(unix, test))]\nmod tests {}",
        "#[cfg_attr(test, derive(Clone))] struct X;",
    ] {
        assert_eq!(seen(text), 1, "{text}");
    }
    assert_eq!(seen("#[cfg(test)]\nmod tests {}\n#[cfg(unix)]\nfn f() {}"), 0);
}

#[test]
fn silence_and_empty_names_are_seen() {
    assert_eq!(laws::silent(&one("src/x.rs", "use std::fmt;\n//! Too late.")).len(), 1);
    assert_eq!(laws::silent(&one("src/x.rs", "//! Takes x; gives y.\n")).len(), 0);
    let paths = ["src/utils.rs", "src/x/helpers/y.rs", "src/model/types.rs", "src/commonplace.rs"].map(str::to_owned);
    assert_eq!(laws::empty_names(&paths), paths[..3]);
}

#[test]
fn orphans_are_seen() {
    let with = |main: &str| two(("tests/it/main.rs", main), ("tests/it/lost.rs", "//! Lost."));
    assert_eq!(laws::orphans(&with("mod found;")), ["tests/it/lost.rs"]);
    assert_eq!(laws::orphans(&with("// mod lost;")), ["tests/it/lost.rs"]);
    assert!(laws::orphans(&with("mod lost;")).is_empty());
    let deep = two(("src/a/mod.rs", "mod c;"), ("src/a/b.rs", ""));
    assert_eq!(laws::orphans(&deep), ["src/a/mod.rs", "src/a/b.rs"]);
}

#[test]
fn statements_and_differences_are_read() {
    let seen = |sql: &str| laws::statements(&one("src/persist/x.rs", &format!("const X: &str = \"{sql}\";"))).len();
    for sql in ["SELECT a FROM b WHERE c = ?", "DELETE FROM {table}", "UPDATE a SET b = $2"] {
        assert_eq!(seen(sql), 1, "{sql}");
    }
    for sql in ["SELECT a FROM b WHERE c = $1 AND d = $2", "INSERT INTO a SELECT value FROM {rows} {skip}", "Why?"] {
        assert_eq!(seen(sql), 0, "{sql}");
    }
    let function = "/// Difference 1: x\npub fn x(self) {}\n";
    let seen = |text: &str| laws::differences(&Source::new("src/persist/dialect.rs", text)).len();
    assert_eq!([seen(&function.repeat(6)), seen(&function.repeat(7)), seen("pub fn y(self) {}")], [0, 1, 1]);
}

#[test]
fn dependencies_are_compared_with_their_page() {
    let manifest = "[dependencies]\na = \"1\"\n[dev-dependencies.b]\nversion = \"1\"\n[profile.dev]\ndebug = 1\n";
    let a = "| `a` | because of this and that |\n";
    assert_eq!(laws::unexplained(manifest, a), ["`b` has no line that says why"]);
    assert_eq!(laws::unexplained(manifest, &format!("{a}| `b` | x |\n")), ["`b` has no line that says why"]);
    let more = format!("{a}{}{}", a.replace("`a`", "`b`"), a.replace("`a`", "`c`"));
    assert_eq!(laws::unexplained(manifest, &more), ["`c` is no dependency any more"]);
    let many: String = (0..37).map(|n| format!("d{n} = \"1\"\n")).collect();
    assert!(laws::unexplained(&format!("[dependencies]\n{many}"), "")[0].starts_with("37 direct"));
}

#[test]
fn leaks_are_seen() {
    let seen = |line: String| laws::leaks(&[("docs/x.md".to_owned(), format!("fine\n{line}\n"))]);
    assert_eq!(seen(format!("see {}{}notes", "/wo", "rk/")).len(), 1);
    assert_eq!(seen(format!("from static.{}{}", "crates", ".io")).len(), 1);
    assert!(seen("src/worker/ works".to_owned()).is_empty());
}
