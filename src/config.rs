//! The configuration: one YAML file, unknown keys refused, every secret as `x` or `x_file`. Takes the
//! file; gives one checked value. Only `app` turns it into constructor arguments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::approval::Policy;
use crate::model::person::Person;
use crate::model::runbook::Risk;
use crate::model::schema::Scalar;
use crate::model::time::Span;
use crate::parse::yaml;
use crate::verify::bearer::Shared;
use crate::verify::slack::SlackSecrets;

mod approvals;
mod target;

pub use target::{S3, Target};

/// The whole configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address that chat and monitoring reach, such as `127.0.0.1:8080`.
    #[serde(default = "listen")]
    pub listen: String,
    pub store: StoreConfig,
    pub slack: SlackConfig,
    pub people: Vec<Person>,
    #[serde(default)]
    pub approvals: Approvals,
    #[serde(default)]
    pub alerts: Alerts,
    #[serde(default)]
    pub targets: BTreeMap<String, Target>,
    pub runbooks: Runbooks,
    /// More texts that must never be stored or shown, such as keys that steps may come across.
    #[serde(default)]
    pub secrets: Vec<String>,
    #[serde(default)]
    pub secrets_file: Option<PathBuf>,
    #[serde(default)]
    pub log: Log,
}

/// Where drbot remembers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// `sqlite:///var/lib/drbot/drbot.db`, or a postgres: URL when several replicas run.
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub url_file: Option<PathBuf>,
    /// Where the output of programs is kept; beside the SQLite file by default.
    #[serde(default)]
    pub output: Option<PathBuf>,
}

/// The Slack app.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackConfig {
    /// The workspace whose members count, such as `T0123`.
    pub team: String,
    /// Every active signing secret; several while rotating.
    #[serde(default)]
    pub signing_secrets: Vec<String>,
    #[serde(default)]
    pub signing_secrets_file: Option<PathBuf>,
    #[serde(default)]
    pub bot_token: Option<String>,
    #[serde(default)]
    pub bot_token_file: Option<PathBuf>,
    #[serde(default = "slack_api")]
    pub api: url::Url,
    /// Hosts that `response_url` may point to.
    #[serde(default = "response_hosts")]
    pub response_hosts: Vec<String>,
}

impl std::fmt::Debug for SlackConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlackConfig").field("team", &self.team).field("api", &self.api.as_str()).finish_non_exhaustive()
    }
}

/// Who must agree, per risk and tier, and for how long an approval lives. May tighten the built-in table only.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approvals {
    /// For every tier that says nothing else.
    #[serde(default)]
    pub disruptive: Option<Policy>,
    /// For every tier that says nothing else.
    #[serde(default)]
    pub destructive: Option<Policy>,
    #[serde(default)]
    pub tier_1: TierPolicies,
    #[serde(default)]
    pub tier_2: TierPolicies,
    #[serde(default)]
    pub tier_3: TierPolicies,
    #[serde(default = "decide_within")]
    pub decide_within: Span,
    #[serde(default = "start_within")]
    pub start_within: Span,
}

/// Who must agree in runbooks of one tier.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TierPolicies {
    #[serde(default)]
    pub disruptive: Option<Policy>,
    #[serde(default)]
    pub destructive: Option<Policy>,
}

impl Default for Approvals {
    fn default() -> Approvals {
        Approvals {
            disruptive: None,
            destructive: None,
            tier_1: TierPolicies::default(),
            tier_2: TierPolicies::default(),
            tier_3: TierPolicies::default(),
            decide_within: decide_within(),
            start_within: start_within(),
        }
    }
}

/// Where alerts of monitoring are shown, and who may send them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// The channel of the alerts' cards.
    #[serde(default)]
    pub channel: Option<String>,
    /// The channel of incidents opened from them; the same when it is left out.
    #[serde(default)]
    pub incident_channel: Option<String>,
    /// Whether a scenario that drbot's own detection finds red gets a card there too; it does unless this is false.
    #[serde(default = "yes")]
    pub own_detections: bool,
    #[serde(default)]
    pub alertmanager: Option<Alertmanager>,
}

/// What Prometheus Alertmanager shows: a bearer token, or user and password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alertmanager {
    /// Every active token; several while rotating.
    #[serde(default)]
    pub bearer: Vec<String>,
    #[serde(default)]
    pub bearer_file: Option<PathBuf>,
    #[serde(default)]
    pub basic_user: Option<String>,
    #[serde(default)]
    pub basic_password: Option<String>,
    #[serde(default)]
    pub basic_password_file: Option<PathBuf>,
}

impl std::fmt::Debug for Alertmanager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Alertmanager(..)")
    }
}

impl Alerts {
    /// What Alertmanager's deliveries are proved with, if they are taken at all.
    ///
    /// # Errors
    /// Names the key that is missing or cannot be right.
    #[must_use]
    pub fn alertmanager(&self) -> Option<Result<Shared, String>> {
        let given = self.alertmanager.as_ref()?;
        let basic = match (&given.basic_user, &given.basic_password) {
            (Some(user), Some(password)) => Some((user.as_str(), password.as_str())),
            (None, None) => None,
            _ => return Some(Err("alerts.alertmanager: basic_user and basic_password belong together".into())),
        };
        Some(Shared::new(&given.bearer, basic).map_err(|e| format!("alerts.alertmanager: {e}")))
    }

    /// Reads the secrets that are given as files.
    fn read_secrets(&mut self, folder: &Path) -> Vec<Result<(), String>> {
        let Some(given) = &mut self.alertmanager else { return Vec::new() };
        let mut tokens = None;
        let name = "alerts.alertmanager";
        let read = vec![
            secret(&format!("{name}.bearer"), &mut tokens, &given.bearer_file, folder),
            secret(&format!("{name}.basic_password"), &mut given.basic_password, &given.basic_password_file, folder),
        ];
        given.bearer.extend(lines(tokens));
        read
    }

    fn faults(&self) -> Vec<String> {
        let missing = self.alertmanager.is_some() && self.channel.as_ref().is_none_or(|c| c.trim().is_empty());
        let channel =
            missing.then(|| "alerts.channel is missing: the id of the channel for alerts, such as C0123".to_owned());
        channel.into_iter().chain(self.alertmanager().and_then(Result::err)).collect()
    }
}

/// Where the runbooks are, and this installation's values for their parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runbooks {
    pub folder: PathBuf,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, BTreeMap<String, Scalar>>")]
    pub parameters: BTreeMap<String, BTreeMap<String, String>>,
    /// Runbooks with a private channel of their own, by its id: their alerts and incidents are there and are
    /// refused anywhere else.
    #[serde(default)]
    pub channels: BTreeMap<String, String>,
}

/// What is logged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `info`, or per part: `info,sqlx=warn`.
    #[serde(default = "log_filter")]
    pub filter: String,
}

impl Default for Log {
    fn default() -> Log {
        Log { filter: log_filter() }
    }
}

fn yes() -> bool {
    true
}

fn listen() -> String {
    "127.0.0.1:8080".into()
}

fn slack_api() -> url::Url {
    const API: &str = "https://slack.com/api/";
    url::Url::parse(API).unwrap_or_else(|_| unreachable!("a constant"))
}

fn response_hosts() -> Vec<String> {
    vec!["hooks.slack.com".into()]
}

fn decide_within() -> Span {
    Span::minutes(15)
}

fn start_within() -> Span {
    Span::minutes(5)
}

fn log_filter() -> String {
    "info,sqlx=warn".into()
}

/// Reads and checks a configuration file. Relative paths in it are relative to the file's folder.
///
/// # Errors
/// All faults found, with file, line and column where they have one.
pub fn load(path: &Path) -> Result<Config, Vec<String>> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| vec![format!("{}: {e}: give the configuration's path with --config", path.display())])?;
    let mut config: Config = yaml::read(&path.display().to_string(), &text).map_err(|e| vec![e])?;
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    config.runbooks.folder = folder.join(&config.runbooks.folder);
    config.store.output = config.store.output.map(|output| folder.join(output));
    let mut faults = config.read_secrets(&folder);
    config.chat_as_target();
    faults.extend(config.faults());
    if faults.is_empty() { Ok(config) } else { Err(faults) }
}

/// One secret, given directly or as a file.
fn secret(name: &str, given: &mut Option<String>, file: &Option<PathBuf>, folder: &Path) -> Result<(), String> {
    match (given.is_some(), file) {
        (true, Some(_)) => Err(format!("{name} and {name}_file are both given: keep one")),
        (false, Some(path)) => {
            let path = folder.join(path);
            let text = std::fs::read_to_string(&path).map_err(|e| format!("{name}_file: {}: {e}", path.display()))?;
            *given = Some(text.trim_end_matches(['\n', '\r']).to_owned());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// One secret a line.
fn lines(text: Option<String>) -> Vec<String> {
    let text = text.unwrap_or_default();
    text.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect()
}

impl Config {
    fn read_secrets(&mut self, folder: &Path) -> Vec<String> {
        let (mut signing, mut more) = (None, None);
        let mut results = vec![
            secret("store.url", &mut self.store.url, &self.store.url_file, folder),
            secret("slack.bot_token", &mut self.slack.bot_token, &self.slack.bot_token_file, folder),
            secret("slack.signing_secrets", &mut signing, &self.slack.signing_secrets_file, folder),
            secret("secrets", &mut more, &self.secrets_file, folder),
        ];
        self.slack.signing_secrets.extend(lines(signing));
        self.secrets.extend(lines(more));
        results.extend(self.alerts.read_secrets(folder));
        for (name, target) in &mut self.targets {
            results.extend(target.read_secrets(name, folder));
        }
        results.into_iter().filter_map(Result::err).collect()
    }

    /// Runbooks may look at chat itself, with drbot's own rights: target `slack`, unless there is one of that name.
    fn chat_as_target(&mut self) {
        let Some(token) = &self.slack.bot_token else { return };
        let base = self.slack.api.clone();
        let target = Target {
            headers: [("Authorization".to_owned(), format!("Bearer {token}"))].into(),
            // A Slack of practice is on this machine.
            allow_private: base.scheme() == "http",
            base: Some(base),
            ..Target::default()
        };
        self.targets.entry("slack".to_owned()).or_insert(target);
    }

    /// Everything that is well formed and would not work or not be safe.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut need = |ok: bool, what: String| {
            if !ok {
                faults.push(what);
            }
        };
        need(self.store.url.is_some(), "store.url is missing: for one process use sqlite:///PATH/drbot.db".into());
        need(
            self.slack.bot_token.as_ref().is_some_and(|t| t.len() >= 8),
            "slack.bot_token is missing: the app's xoxb- token".into(),
        );
        let signing = SlackSecrets::new(self.slack.signing_secrets.clone()).err();
        need(signing.is_none(), format!("slack.signing_secrets: {}", signing.unwrap_or_default()));
        need(!self.people.is_empty(), "people is empty: nobody could declare or approve anything".into());
        faults.extend(self.approvals.faults());
        let mut need = |ok: bool, what: String| {
            if !ok {
                faults.push(what);
            }
        };
        let a = &self.approvals;
        need(
            (1..=decide_within().0).contains(&a.decide_within.0),
            format!("approvals.decide_within is {}: it must be between 1ms and 15m", a.decide_within.exact()),
        );
        need(
            (1..=start_within().0).contains(&a.start_within.0),
            format!("approvals.start_within is {}: it must be between 1ms and 5m", a.start_within.exact()),
        );
        faults.extend(self.targets.iter().flat_map(|(name, target)| target.faults(name)));
        let programs = self.targets.values().any(|t| !t.programs.is_empty());
        if programs && self.output_folder().is_none() {
            faults.push("store.output is missing: the folder where what programs write is kept".into());
        }
        faults.extend(self.alerts.faults());
        faults.extend(self.own_channels());
        faults.extend(self.clashing_people());
        faults
    }

    /// A private channel is one that Slack knows by an id, and none that others read.
    fn own_channels(&self) -> Vec<String> {
        let open = [&self.alerts.channel, &self.alerts.incident_channel];
        let fault = |(name, id): (&String, &String)| {
            let shaped = id.len() >= 3 && id.starts_with(['C', 'G']) && id.bytes().all(|b| b.is_ascii_alphanumeric());
            match () {
                () if !shaped => {
                    Some("is no id of a channel, such as C0ABCDEFGHI: it stands at the end of the channel's details")
                }
                () if open.contains(&&Some(id.clone())) => {
                    Some("is also a channel of `alerts`: a private one is for this runbook only")
                }
                () => None,
            }
            .map(|what| format!("runbooks.channels.{name}: `{id}` {what}"))
        };
        self.runbooks.channels.iter().filter_map(fault).collect()
    }

    fn clashing_people(&self) -> Vec<String> {
        let mut seen = BTreeMap::new();
        let mut faults = Vec::new();
        for person in &self.people {
            for key in std::iter::once(format!("id {}", person.id.0))
                .chain(person.slack.iter().map(|s| format!("Slack account {s}")))
            {
                if let Some(other) = seen.insert(key.clone(), person.id.0.clone()) {
                    faults.push(format!(
                        "people: {key} belongs to both `{other}` and `{}`: one account is one person, so list all accounts of a person in one entry",
                        person.id.0
                    ));
                }
            }
        }
        faults
    }

    /// The policy of each tier and risk: configured, or the built-in table.
    #[must_use]
    pub fn policies(&self) -> BTreeMap<(u8, Risk), Policy> {
        self.approvals.table()
    }

    /// The folder where the output of programs is kept.
    #[must_use]
    pub fn output_folder(&self) -> Option<PathBuf> {
        let beside = |url: &String| {
            let path = url.strip_prefix("sqlite:")?.trim_start_matches("//").split('?').next()?;
            Some(PathBuf::from(format!("{path}.output")))
        };
        self.store.output.clone().or_else(|| self.store.url.as_ref().and_then(beside))
    }

    /// Every secret of the configuration, for the redactor: tokens, and the passwords inside URLs.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let urls = self.targets.values().flat_map(|t| [&t.observer, &t.operator]).chain([&self.store.url]).flatten();
        let passwords = urls.flat_map(|u| {
            let password = url::Url::parse(u).ok().and_then(|u| u.password().map(str::to_owned));
            password.into_iter().flat_map(|p| [url_decode(&p), p])
        });
        self.slack
            .signing_secrets
            .iter()
            .cloned()
            .chain(self.secrets.iter().cloned())
            .chain(self.alerts.alertmanager.iter().flat_map(|a| a.bearer.iter().chain(&a.basic_password).cloned()))
            .chain(self.slack.bot_token.clone())
            .chain(passwords)
            .chain(self.targets.values().flat_map(Target::secrets))
            .collect()
    }
}

fn url_decode(text: &str) -> String {
    let query = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(query.as_bytes()).next().map(|(_, v)| v.into_owned()).unwrap_or_default()
}
