//! `drbot practice`: takes where the page and the bot are; serves the practice chat on this machine until
//! interrupted, and prints the configuration that drbot needs for it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::Router;
use clap::Args;

use super::demo::interrupted;
use super::{fail, say};
use crate::clock;
use crate::practice::page::{self, Page};
use crate::practice::slack::{Practice, Setup};

#[derive(Args)]
pub(super) struct Chat {
    /// Where the page listens: 127.0.0.1 and a port. The Slack API is on the next port.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Where drbot listens; it must be on this machine.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    bot: String,
    /// The signing secret that drbot knows; made anew at every start if none is given.
    #[arg(long, env = "DRBOT_PRACTICE_SIGNING_SECRET", hide_env_values = true, conflicts_with = "signing_secret_file")]
    signing_secret: Option<String>,
    /// A file with the signing secret.
    #[arg(long)]
    signing_secret_file: Option<PathBuf>,
    /// The bot token that drbot uses; made anew at every start if none is given.
    #[arg(long, env = "DRBOT_PRACTICE_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

pub(super) fn run(chat: &Chat) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return fail(&format!("no runtime: {e}")),
    };
    let served = runtime.block_on(async {
        tokio::select! {
            served = serve(chat) => served,
            () = interrupted() => Ok(()),
        }
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(&format!("drbot practice: {e:#}")),
    }
}

async fn serve(chat: &Chat) -> Result<()> {
    let (commands, interactions) = page::doors(&chat.bot)?;
    let listener = page::listen(chat.listen).await?;
    let made = || Ok::<_, anyhow::Error>(clock::ids().map_err(|e| anyhow::anyhow!("no randomness: {e}"))?.hex());
    let secret = match (&chat.signing_secret, &chat.signing_secret_file) {
        (Some(secret), _) => secret.clone(),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
            text.trim().to_owned()
        }
        (None, None) => made()?,
    };
    ensure!(!secret.is_empty(), "the signing secret is empty");
    let token = chat.token.clone().map_or_else(|| made().map(|m| format!("xoxb-practice-{m}")), Ok)?;
    let small = Setup::small(clock::now());
    let people = page::people(&small.team, &page::PEOPLE);
    let setup = Setup {
        token,
        signing_secret: secret,
        channels: vec![("C01INC".into(), "incidents".into()), ("C02GEN".into(), "general".into())],
        users: people.iter().map(|p| p.user.clone()).collect(),
        ..small
    };
    let port = if chat.listen.port() == 0 { 0 } else { chat.listen.port().checked_add(1).context("no next port")? };
    let slack = Arc::new(Practice::start_on(setup.clone(), port).await?);
    slack.bot_at(commands.clone(), interactions);
    say(&format!("# drbot's configuration needs these lines:\n{}", lines(&setup, &slack)?));
    say(&format!("\nOpen  http://{}/   (Ctrl-C ends the practice chat)", listener.local_addr()?));
    let bot = commands.origin().ascii_serialization();
    page::serve(listener, Page { slack, people, bot, panel: None }, Router::new()).await
}

/// What to put into drbot's configuration.
fn lines(setup: &Setup, slack: &Practice) -> Result<String> {
    let people = page::people(&setup.team, &page::PEOPLE);
    let people: Vec<String> = people
        .iter()
        .map(|p| {
            let (id, roles) = (&p.user.name, p.roles.join(", "));
            format!("  - {{ id: {id}, name: {}, roles: [{roles}], slack: [{}] }}", p.name, p.user.user)
        })
        .collect();
    let quote = |s: &str| serde_json::to_string(s);
    Ok(format!(
        "slack:\n  team: {}\n  api: {}\n  bot_token: {}\n  signing_secrets: [{}]\n  response_hosts: [127.0.0.1]\n\
         people:\n{}",
        setup.team,
        slack.api_base()?,
        quote(&setup.token)?,
        quote(&setup.signing_secret)?,
        people.join("\n")
    ))
}
