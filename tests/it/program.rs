//! Real programs that a test needs besides: each ends with the test, however that ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A program that ends with us, however we end: its keeper reads a pipe that closes when we do.
pub struct Program {
    keeper: Child,
}

impl Program {
    /// Starts an installed program; its output goes to `log`.
    pub fn start(name: &str, arguments: &[String], log: &Path) -> Program {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin");
        let folders = [own, "/usr/bin".into(), "/usr/local/bin".into(), "/bin".into()];
        let found: Option<PathBuf> = folders.iter().map(|f| f.join(name)).find(|p| p.exists());
        let found = found.unwrap_or_else(|| panic!("{name} is missing: `script/setup tests` installs it"));
        let log = fs::File::create(log).expect("a log");
        let script = r#""$@" </dev/null & pid=$!; trap '' INT TERM HUP; cat >/dev/null; kill -KILL $pid; wait $pid"#;
        let mut keeper = Command::new("/bin/sh");
        keeper.args(["-c", script, "keeper"]).arg(found).args(arguments);
        keeper.stdin(Stdio::piped()).stdout(log.try_clone().expect("a log")).stderr(log);
        Program { keeper: keeper.spawn().expect("a shell") }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
