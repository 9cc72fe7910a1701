//! A throw-away PostgreSQL. Takes an empty folder; gives a cluster on a free loopback port with the
//! booking practice data and, on request, trouble in it. It ends with its owner, also when the owner
//! is killed.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use anyhow::{Context, Result, bail};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};

use super::port;

/// The practice database.
pub const BOOKING: &str = "booking";
/// The role of the practice application.
pub const APP: &str = "app";
/// Password of every role but the superuser, which has none and can enter only through the folder.
pub const PASSWORD: &str = "scratch";

/// The account that runs the server when we are root, which PostgreSQL refuses to be.
const ACCOUNT: &str = "postgres";
const BOOKING_SQL: &str = include_str!("booking.sql");
const ATTEMPTS: u32 = 3;

/// How `pg_ctl` stops a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are ended, data is flushed.
    Fast,
    /// As in a crash: the next start recovers.
    Immediate,
}

/// A running cluster; dropping it stops the server at once and leaves the folder to its owner.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    bin: PathBuf,
    port: port::Port,
    /// Stops the server when our end of its pipe closes, however we end.
    watchdog: Child,
}

impl Scratch {
    /// Makes a cluster inside `folder` and starts it.
    ///
    /// # Errors
    /// Says what is missing and how to install it, or why the server did not start.
    pub async fn start(folder: &Path) -> Result<Scratch> {
        let bin = programs()?;
        let folder = folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        if as_root() {
            let mut chown = Command::new("chown");
            chown.arg(ACCOUNT).arg(&folder);
            done(chown).await?;
        }
        let data = folder.join("data");
        let mut initdb = server_command(&bin.join("initdb"));
        initdb.args(["-U", ACCOUNT, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D"]).arg(&data);
        done(initdb).await?;
        fs::write(data.join("pg_hba.conf"), HBA)?;
        let watchdog = watch(&bin, &data)?;
        let mut scratch = Scratch { folder, bin, port: port::free()?, watchdog };
        for attempt in 1.. {
            scratch.configure()?;
            match scratch.up().await {
                // Somebody else may have taken the port meanwhile.
                Err(_) if attempt < ATTEMPTS => scratch.port = port::free()?,
                Err(e) => return Err(e.context(scratch.log_text())),
                Ok(()) => break,
            }
        }
        Ok(scratch)
    }

    /// The superuser's URL: through a socket in the folder, which only its owner can reach.
    #[must_use]
    pub fn superuser_url(&self) -> String {
        self.superuser_url_of("postgres")
    }

    /// The superuser's URL to another database.
    #[must_use]
    pub fn superuser_url_of(&self, database: &str) -> String {
        let socket: String =
            url::form_urlencoded::byte_serialize(self.folder.display().to_string().as_bytes()).collect();
        format!("postgres://{ACCOUNT}@localhost:{}/{database}?host={socket}", self.port.number())
    }

    /// A role's URL over loopback TCP.
    #[must_use]
    pub fn url(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgres://{role}:{password}@127.0.0.1:{}/{database}?sslmode=disable", self.port.number())
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Stops the server.
    ///
    /// # Errors
    /// Says why `pg_ctl` could not.
    pub async fn stop(&self, how: Stop) -> Result<()> {
        done(stop_command(&self.bin, &self.data(), how)).await
    }

    /// Starts the server again, stopping it first if it runs.
    ///
    /// # Errors
    /// Says why it did not come up.
    pub async fn restart(&self) -> Result<()> {
        if self.data().join("postmaster.pid").exists() {
            self.stop(Stop::Fast).await?;
        }
        self.up().await
    }

    /// Everything the server logged so far.
    #[must_use]
    pub fn log_text(&self) -> String {
        fs::read(self.log()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Opens a session.
    ///
    /// # Errors
    /// Says why the server refused.
    pub async fn connect(&self, url: &str) -> Result<PgConnection> {
        let options: PgConnectOptions = url.parse()?;
        Ok(options.disable_statement_logging().connect().await?)
    }

    /// Runs statements as superuser.
    ///
    /// # Errors
    /// The server's own.
    pub async fn admin(&self, database: &str, sql: &str) -> Result<()> {
        let mut conn = self.connect(&self.superuser_url_of(database)).await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await?;
        Ok(())
    }

    /// Creates the practice database with its data, runs `grants` in it (the text that creates drbot's
    /// roles) and gives those roles the practice password.
    ///
    /// # Errors
    /// The server's own.
    pub async fn prepare_booking(&self, grants: &str) -> Result<()> {
        let app = format!("CREATE ROLE {APP} LOGIN PASSWORD '{PASSWORD}'");
        self.admin("postgres", &app).await.context("the practice role")?;
        self.admin("postgres", &format!("CREATE DATABASE {BOOKING}")).await.context("the practice database")?;
        self.admin(BOOKING, BOOKING_SQL).await.context("the practice data")?;
        if self.preload().is_some() {
            self.admin(BOOKING, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?;
        }
        self.admin(BOOKING, grants).await.context("drbot's roles")?;
        let passwords =
            ["drbot_observer", "drbot_operator"].map(|role| format!("ALTER ROLE {role} PASSWORD '{PASSWORD}';"));
        self.admin(BOOKING, &passwords.concat()).await
    }

    fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    async fn up(&self) -> Result<()> {
        let mut start = server_command(&self.bin.join("pg_ctl"));
        start.args(["start", "-w", "-t", "60", "-s", "-D"]).arg(self.data()).arg("-l").arg(self.log());
        done(start).await
    }

    fn configure(&self) -> Result<()> {
        let preload = self.preload().map(|p| format!("shared_preload_libraries = '{p}'\n")).unwrap_or_default();
        let own = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\n{preload}{SETTINGS}",
            self.port.number(),
            self.folder.display().to_string().replace('\'', "''"),
        );
        fs::write(self.data().join("scratch.conf"), own)?;
        let main = self.data().join("postgresql.conf");
        let text = fs::read_to_string(&main)?;
        if !text.contains(INCLUDE) {
            fs::write(main, text + INCLUDE)?;
        }
        if as_root() {
            // Written by root: the server's account only has to read it.
            fs::set_permissions(self.data().join("scratch.conf"), fs::Permissions::from_mode(0o644))?;
        }
        Ok(())
    }

    /// The statistics module, if this installation has it.
    fn preload(&self) -> Option<&'static str> {
        // The programs may be links to where the whole installation is.
        let real = self.bin.join("initdb").canonicalize().ok()?;
        let asked = Command::new(real.with_file_name("pg_config")).arg("--pkglibdir").output().ok()?;
        let folder = String::from_utf8(asked.stdout).ok()?;
        Path::new(folder.trim()).join("pg_stat_statements.so").exists().then_some("pg_stat_statements")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut stop = stop_command(&self.bin, &self.data(), Stop::Immediate);
        // Failing means it was stopped already; the watchdog tries once more.
        let _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

const INCLUDE: &str = "\ninclude = 'scratch.conf'\n";

const HBA: &str =
    "local all all trust\nhost all postgres 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 scram-sha-256\n";

const SETTINGS: &str = "fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 60
shared_buffers = 16MB
log_statement = 'all'
log_line_prefix = '%m [%p] user=%u db=%d app=%a '
log_timezone = 'UTC'
timezone = 'UTC'
";

/// Where the server's programs are: on the search path or where distributions put them.
fn programs() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut packaged: Vec<PathBuf> = versions.map(|v| v.path().join("bin")).collect();
    packaged.sort_by_key(|p| p.components().rev().nth(1).and_then(|v| v.as_os_str().to_str()?.parse::<u32>().ok()));
    folders.extend(packaged.into_iter().rev());
    let found = folders.into_iter().find(|f| f.join("initdb").exists() && f.join("pg_ctl").exists());
    found.context(
        "PostgreSQL's server programs `initdb` and `pg_ctl` are missing: \
         install them (Debian and Ubuntu: apt-get install postgresql; macOS: brew install postgresql)",
    )
}

fn as_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

/// A command as the account that owns the cluster.
fn server_command(program: &Path) -> Command {
    let mut command = if as_root() {
        let mut as_account = Command::new("runuser");
        as_account.args(["-u", ACCOUNT, "--"]).arg(program);
        as_account
    } else {
        Command::new(program)
    };
    // The account may not be allowed to enter our own working folder.
    command.current_dir("/").stdin(Stdio::null());
    command
}

fn stop_command(bin: &Path, data: &Path, how: Stop) -> Command {
    let mode = match how {
        Stop::Fast => "fast",
        Stop::Immediate => "immediate",
    };
    let mut stop = server_command(&bin.join("pg_ctl"));
    stop.args(["stop", "-w", "-s", "-m", mode, "-D"]).arg(data);
    stop
}

/// A shell that waits for its input to end, which it does whenever our process ends, and then stops
/// the server.
fn watch(bin: &Path, data: &Path) -> Result<Child> {
    let mut shell = server_command(Path::new("/bin/sh"));
    // Signals of a terminal are meant for us; it must outlive them to do its work.
    let script = r#"trap '' INT HUP TERM; cat >/dev/null; exec "$1" stop -s -m immediate -D "$2" 2>/dev/null"#;
    shell.args(["-c", script, "watchdog"]).arg(bin.join("pg_ctl")).arg(data).process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().context("no shell to watch over the server")
}

/// Runs a command to its end.
async fn done(command: Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let shown = format!("{name} {}", arguments.join(" "));
    let output = match tokio::process::Command::from(command).output().await {
        Err(e) if e.kind() == ErrorKind::NotFound => bail!("the program `{name}` is missing"),
        other => other.with_context(|| shown.clone())?,
    };
    if !output.status.success() {
        bail!("{shown} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
