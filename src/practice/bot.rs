//! A real bot process to practise with. Takes the program and what it shall talk to; gives a process
//! that is started, killed and started again from outside, as an operator or an accident would.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;
use url::Url;

use super::port;

/// How long a start or a clean stop may take.
const LIMIT: Duration = Duration::from_secs(20);

/// What the bot's configuration says, as far as practice varies it.
#[derive(Debug, Clone)]
pub struct Wiring {
    pub store: String,
    pub slack_api: Url,
    pub response_host: String,
    pub team: String,
    pub signing_secret: String,
    pub bot_token: String,
    /// Id, name, roles, Slack account.
    pub people: Vec<(String, String, Vec<String>, String)>,
    /// Name, observer URL, operator URL.
    pub targets: Vec<(String, String, String)>,
    pub runbooks: PathBuf,
    /// Runbook, parameter, value.
    pub parameters: Vec<(String, String, String)>,
    /// Lines for more targets, such as `api: { base: "http://127.0.0.1:1/", allow_private: true }`.
    pub more_targets: Vec<String>,
    /// More lines for the end of the file.
    pub more: String,
}

impl Wiring {
    /// The configuration file's text.
    #[must_use]
    pub fn yaml(&self, listen: &str) -> String {
        let quote = |s: &str| serde_json::to_string(s).unwrap_or_default();
        let mut y = format!("listen: {}\nstore: {{ url: {} }}\n", quote(listen), quote(&self.store));
        let _ = writeln!(
            y,
            "slack:\n  team: {}\n  api: {}\n  bot_token: {}\n  signing_secrets: [{}]\n  response_hosts: [{}]\npeople:",
            quote(&self.team),
            quote(self.slack_api.as_str()),
            quote(&self.bot_token),
            quote(&self.signing_secret),
            quote(&self.response_host)
        );
        for (id, name, roles, account) in &self.people {
            let roles: Vec<String> = roles.iter().map(|r| quote(r)).collect();
            let _ = writeln!(
                y,
                "  - {{ id: {}, name: {}, roles: [{}], slack: [{}] }}",
                quote(id),
                quote(name),
                roles.join(", "),
                quote(account)
            );
        }
        if !self.targets.is_empty() || !self.more_targets.is_empty() {
            y.push_str("targets:\n");
        }
        for (name, observer, operator) in &self.targets {
            let _ = writeln!(y, "  {name}: {{ observer: {}, operator: {} }}", quote(observer), quote(operator));
        }
        for line in &self.more_targets {
            let _ = writeln!(y, "  {line}");
        }
        let _ = writeln!(y, "runbooks:\n  folder: {}", quote(&self.runbooks.display().to_string()));
        if !self.parameters.is_empty() {
            y.push_str("  parameters:\n");
        }
        let mut by_runbook: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (runbook, name, value) in &self.parameters {
            by_runbook.entry(runbook).or_default().push(format!("{name}: {}", quote(value)));
        }
        for (runbook, values) in by_runbook {
            let _ = writeln!(y, "    {runbook}: {{ {} }}", values.join(", "));
        }
        y + &self.more
    }
}

/// A bot process; killed when dropped.
pub struct Bot {
    program: PathBuf,
    folder: PathBuf,
    port: port::Port,
    child: Option<Child>,
}

impl Bot {
    /// Writes the configuration into `folder` and starts the program; returns when it is ready.
    ///
    /// # Errors
    /// The program does not get ready; its log is in the error.
    pub async fn start(program: &Path, folder: &Path, wiring: &Wiring) -> Result<Bot> {
        let port = port::free()?;
        let mut bot = Bot { program: program.to_owned(), folder: folder.to_owned(), port, child: None };
        bot.configure(wiring)?;
        bot.again().await?;
        Ok(bot)
    }

    /// Writes another configuration; it counts from the next start.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn configure(&self, wiring: &Wiring) -> Result<()> {
        std::fs::write(self.folder.join("drbot.yaml"), wiring.yaml(&format!("127.0.0.1:{}", self.port.number())))
            .context("writing the configuration")
    }

    /// Starts the program again on the same address and store.
    ///
    /// # Errors
    /// As `start`.
    pub async fn again(&mut self) -> Result<()> {
        self.launch()?;
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten()) {
                bail!("the bot ended with {status}:\n{}", self.log());
            }
            if self.ready().await {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the bot was not ready in {} s:\n{}", LIMIT.as_secs(), self.log());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts the program without waiting for it.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn launch(&mut self) -> Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.join("drbot.log"))?;
        let child = Command::new(&self.program)
            .args(["serve", "--config"])
            .arg(self.folder.join("drbot.yaml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    async fn ready(&self) -> bool {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", self.port.number())).await else {
            return false;
        };
        let sent = stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        let mut answer = String::new();
        sent.is_ok() && stream.read_to_string(&mut answer).await.is_ok() && answer.starts_with("HTTP/1.1 200")
    }

    /// Where it takes slash commands, and where clicks and forms.
    ///
    /// # Errors
    /// Never for a local port; addresses are texts.
    pub fn doors(&self) -> Result<(Url, Url)> {
        let base = Url::parse(&format!("http://127.0.0.1:{}/slack/", self.port.number()))?;
        Ok((base.join("commands")?, base.join("interactions")?))
    }

    /// Where it takes Alertmanager's deliveries.
    ///
    /// # Errors
    /// As `doors`.
    pub fn alerts(&self) -> Result<Url> {
        Ok(Url::parse(&format!("http://127.0.0.1:{}/alerts/alertmanager", self.port.number()))?)
    }

    /// Everything it logged, over all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("drbot.log")).unwrap_or_default()
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to stop and waits.
    ///
    /// # Errors
    /// It did not end in time, or not with success.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        asked.context("asking the bot to stop")?;
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(status) = child.try_wait()? {
                return if status.success() { Ok(()) } else { bail!("the bot stopped with {status}:\n{}", self.log()) };
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                bail!("the bot did not stop in {} s", LIMIT.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        self.kill();
    }
}
