//! The composition root. Takes a configuration; builds everything, starts it in order and stops it in
//! the opposite one.

mod reload;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use futures_util::future::join_all;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::clock;
use crate::config::{Config, S3, Target};
use crate::engine::{Engine, Fixed};
use crate::execute::Executors;
use crate::execute::http::{Http, HttpTarget, Keys, ObjectStore};
use crate::execute::process;
use crate::execute::programs::{Hide, ProgramTarget, Programs};
use crate::execute::sql::{Sql, SqlTarget};
use crate::model::catalog::Catalog;
use crate::model::inbound::{Delivery, Input};
use crate::model::person::Roster;
use crate::model::world::Rules;
use crate::parse::catalog::{self, Site, TargetKind};
use crate::persist::Store;
use crate::post::rate::Gate;
use crate::post::slack::client::{SlackClient, install_crypto};
use crate::redact::Redactor;
use crate::verify::slack::SlackSecrets;
use crate::webhook::{self, Doors, listen};
use crate::worker::replies::Replies;
use crate::worker::{self, Worker};

/// How long work in hand may take to finish when the process is asked to stop.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// How long a target may take to say what its observer may do before the bot starts without knowing.
const ASK_WITHIN: Duration = Duration::from_secs(1);
/// How often old deliveries are forgotten. They are kept for a day; a signature is good for 5 minutes.
const TRIM_EVERY: Duration = Duration::from_secs(10 * 60);

/// Reads the runbook folder under a configuration.
///
/// # Errors
/// Every fault, one text each.
pub fn load_catalog(folder: &Path, site: &Site) -> Result<Catalog, Vec<String>> {
    catalog::load(&read_runbooks(folder)?, site)
}

/// The runbook files of a folder, by name.
///
/// # Errors
/// The folder or a file cannot be read.
pub fn read_runbooks(folder: &Path) -> Result<BTreeMap<String, String>, Vec<String>> {
    let list = std::fs::read_dir(folder).map_err(|e| {
        vec![format!("{}: {e}: runbooks.folder must be the folder with the runbook files", folder.display())]
    })?;
    let mut files = BTreeMap::new();
    for entry in list.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".yaml") && entry.path().is_file() {
            let text = std::fs::read_to_string(entry.path()).map_err(|e| vec![format!("{name}: {e}")])?;
            files.insert(name, text);
        }
    }
    Ok(files)
}

/// What a configuration adds to runbook files.
#[must_use]
pub fn site(config: &Config) -> Site {
    Site {
        targets: config.targets.iter().map(|(n, t)| (n.clone(), kind(t))).collect(),
        parameters: config.runbooks.parameters.clone(),
        channels: config.runbooks.channels.clone(),
        roles: config.people.iter().flat_map(|p| p.roles.iter().cloned()).collect(),
        configured: true,
    }
}

fn kind(target: &Target) -> TargetKind {
    match (&target.base, target.programs.is_empty()) {
        (Some(_), _) => TargetKind::Http { store: target.s3.is_some() },
        (None, false) => TargetKind::Programs(target.programs.keys().cloned().collect()),
        (None, true) => TargetKind::Sql { operator: target.operator.is_some() },
    }
}

/// The executors for the configured targets. What they show is free of what `redactor` knows.
#[must_use]
pub fn executors(config: &Config, redactor: &Redactor) -> Executors {
    let of = |wanted: fn(&TargetKind) -> bool| config.targets.iter().filter(move |(_, t)| wanted(&kind(t)));
    let sql = of(|k| matches!(k, TargetKind::Sql { .. })).map(|(n, t)| {
        (n.clone(), SqlTarget { observer: t.observer.clone().unwrap_or_default(), operator: t.operator.clone() })
    });
    let http = of(|k| matches!(k, TargetKind::Http { .. })).filter_map(|(n, t)| {
        let headers = t.headers.clone().into_iter().collect();
        let store = t.s3.as_ref().map(object_store);
        Some((n.clone(), HttpTarget { base: t.base.clone()?, headers, allow_private: t.allow_private, store }))
    });
    let programs = of(|k| matches!(k, TargetKind::Programs(_))).map(|(n, t)| {
        let programs = t.programs.iter().map(|(name, path)| (name.clone(), path.to_string_lossy().into_owned()));
        (n.clone(), ProgramTarget { programs: programs.collect(), env: t.env.clone().into_iter().collect() })
    });
    let overlap = redactor.longest();
    let redactor = redactor.clone();
    let hide = Hide { redact: Box::new(move |text| redactor.text(text)), overlap };
    let folder = config.output_folder().unwrap_or_default();
    Executors {
        sql: Sql::new(sql.collect()),
        http: Http::new(http.collect(), clock::now),
        programs: Programs::new(programs.collect(), folder, hide),
    }
}

fn object_store(s3: &S3) -> ObjectStore {
    let given = |secret: &Option<String>| secret.clone().unwrap_or_default();
    let keys = Keys { region: s3.region.clone(), access_key: given(&s3.access_key), secret_key: given(&s3.secret_key) };
    ObjectStore { bucket: s3.bucket.clone(), prefix: s3.prefix.clone(), keys }
}

fn rules(config: &Config, roster: &Roster) -> Rules {
    let policies = config.policies();
    let said = serde_json::to_vec(&(
        roster,
        policies.iter().map(|((tier, risk), p)| (tier, risk.word(), p)).collect::<Vec<_>>(),
    ))
    .unwrap_or_default();
    Rules {
        version: hex::encode(Sha256::digest(said)),
        policies,
        decide_within: config.approvals.decide_within,
        start_within: config.approvals.start_within,
        alert_channel: config.alerts.channel.clone().unwrap_or_default(),
        incident_channel: config.alerts.incident_channel.clone(),
        tells_own: config.alerts.own_detections,
        own_channels: config.runbooks.channels.clone(),
    }
}

/// Refuses an observer that could write. A target that does not answer at once is no reason to stay down
/// (it may be the disaster): the executor asks again before it first uses a target.
async fn refuse_writing_observers(sql: &Sql, config: &Config) -> anyhow::Result<()> {
    let databases = config.targets.iter().filter(|(_, t)| matches!(kind(t), TargetKind::Sql { .. }));
    let asked = databases.map(|(name, _)| async move {
        let answer = tokio::time::timeout(ASK_WITHIN, sql.observer_faults(name)).await;
        (name, answer.unwrap_or_else(|_| Err(format!("no answer within {} ms", ASK_WITHIN.as_millis()))))
    });
    for (name, answer) in join_all(asked).await {
        match answer {
            Ok(faults) if faults.is_empty() => {}
            Ok(faults) => bail!(
                "target {name}: the observer role could write: {}. `drbot target sql {name}` prints the right grants",
                faults.join("; ")
            ),
            Err(why) => {
                warn!(target_name = name, why, "target could not be asked at start; it is checked before its first use")
            }
        }
    }
    Ok(())
}

/// Forgets deliveries and samples once nobody can repeat or miss them.
async fn trim(store: Store) {
    loop {
        tokio::time::sleep(TRIM_EVERY).await;
        let day = crate::model::time::Span::minutes(24 * 60);
        if let Err(e) = store.trim(crate::model::time::Millis(clock::now().0 - day.0)).await {
            warn!(error = %e, "old deliveries could not be trimmed");
        }
    }
}

/// Runs the bot until SIGTERM or SIGINT.
///
/// # Errors
/// What kept it from starting, in one sentence.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    install_crypto();
    let catalog = load_catalog(&config.runbooks.folder, &site(&config))
        .map_err(|f| anyhow!("the runbooks do not load:\n{}", f.join("\n")))?;
    let secrets =
        SlackSecrets::new(config.slack.signing_secrets.clone()).map_err(|e| anyhow!("slack.signing_secrets: {e}"))?;
    let alertmanager = config.alerts.alertmanager().transpose().map_err(|e| anyhow!("{e}"))?;
    let redactor = Redactor::new(config.secrets().iter().map(String::as_str));
    let execute = Arc::new(executors(&config, &redactor));
    refuse_writing_observers(&execute.sql, &config).await?;
    if !config.targets.values().all(|t| t.programs.is_empty()) {
        process::adopt().map_err(|e| anyhow!("programs cannot be run here: {e}"))?;
    }
    let url = config.store.url.clone().unwrap_or_default();
    let _alone = Lock::take(&url)?;
    let store = Store::open(&url).await.context("opening the store")?;
    if !store.shared() {
        store.end_leases(None).await.context("ending the leases of the process before")?;
    }
    let roster = Roster { home_team: config.slack.team.clone(), people: config.people.clone() };
    let fixed = Fixed { rules: rules(&config, &roster), catalog, roster, redactor };
    let (engine, committer) = Engine::start(store.clone(), fixed).await.context("reading the store")?;
    let slack = SlackClient::new(
        config.slack.api.clone(),
        config.slack.bot_token.clone().unwrap_or_default(),
        config.slack.response_hosts.clone(),
    )?;
    let replies = Arc::new(Replies::default());
    let owner = clock::ids()?.hex();
    let worker = Arc::new(Worker {
        engine: engine.clone(),
        store: store.clone(),
        execute,
        slack: Arc::new(slack),
        gate: Gate::new(Duration::from_secs(1)),
        replies: Arc::clone(&replies),
        owner: owner.clone(),
        submitted: AtomicU64::new(0),
    });
    let listener =
        TcpListener::bind(&config.listen).await.with_context(|| format!("listening on {}", config.listen))?;
    let address = listener.local_addr()?;
    let doors =
        Arc::new(Doors { engine: engine.clone(), secrets, alertmanager, replies, ready: AtomicBool::new(true) });
    let reloading = detections(&config, &engine, &owner).await?;
    let (tell_worker, hear) = watch::channel(false);
    let working = tokio::spawn(worker::run(worker, hear));
    let trimming = tokio::spawn(trim(store.clone()));
    info!(%address, "ready");
    let served = listen::serve(listener, webhook::router(Arc::clone(&doors)), stop_asked(Arc::clone(&doors)));
    let result = tokio::select! {
        () = served => Ok(()),
        _ = committer => Err(anyhow!("the committer ended")),
    };
    trimming.abort();
    reloading.abort();
    let _ = tell_worker.send(true);
    if tokio::time::timeout(STOP_WITHIN, working).await.is_err() {
        warn!("work in hand did not finish in time; the next start tells what is known of it");
    }
    store.close().await;
    info!("stopped");
    result
}

/// Starts what goes on by itself, and what keeps it in step with the runbook folder.
async fn detections(config: &Config, engine: &Engine, owner: &str) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    for up in engine.catalog().standing(None) {
        engine
            .submit(Delivery { key: format!("up/{owner}/{up}"), input: Input::Up(up) })
            .await
            .context("starting the watches and schedules")?;
    }
    let folder = reload::Folder {
        folder: config.runbooks.folder.clone(),
        site: site(config),
        engine: engine.clone(),
        owner: owner.to_owned(),
    };
    Ok(tokio::spawn(reload::watch(folder)))
}

async fn stop_asked(doors: Arc<Doors>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    doors.ready.store(false, Ordering::Relaxed);
    info!("stopping: no new requests; work in hand is finished");
}

/// Only one process may use an SQLite store: a second one is refused, and the holder may end the leases
/// of whoever was there before.
struct Lock {
    _file: Option<std::fs::File>,
}

impl Lock {
    fn take(url: &str) -> anyhow::Result<Lock> {
        let Some(path) = url.strip_prefix("sqlite:") else { return Ok(Lock { _file: None }) };
        let path = path.trim_start_matches("//").split('?').next().unwrap_or_default().to_owned() + ".lock";
        let file = std::fs::File::create(&path).with_context(|| format!("creating {path}"))?;
        file.try_lock().map_err(|e| {
            anyhow!("{path}: another drbot uses this store ({e}); for several processes use a postgres: store")
        })?;
        Ok(Lock { _file: Some(file) })
    }
}
