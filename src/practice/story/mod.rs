//! The main job as a story with a judge. Takes the program and what to sabotage; plays trouble, status,
//! incident, approval and recovery between real processes, prints what people see, and gives whether
//! every claim held. The database's own log decides what ran.

mod act;
mod card;
pub(super) mod log;
mod sabotage;
pub(super) mod stage;
mod tally;

use std::path::PathBuf;

use anyhow::Result;

use stage::Stage;
pub use stage::{Cast, STORY};
use tally::Tally;

/// What is broken on purpose, to see that the story notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// The stored answer of a delivery is lost before its repeat comes.
    Dedupe,
    /// The approved statement is changed in the bot's store before it starts.
    Statement,
    /// The database is stopped before the second person agrees.
    Database,
}

/// What to play.
#[derive(Debug, Clone)]
pub struct Order {
    /// The drbot program, started as a process of its own.
    pub program: PathBuf,
    /// Folder with the runbooks.
    pub runbooks: PathBuf,
    pub sabotage: Option<Sabotage>,
    /// Whether to leave the folder behind.
    pub keep: bool,
    pub cast: Cast,
}

/// Plays the story and prints it with `say`. Gives whether every claim held: with `Dedupe` one must
/// fail, with the others the demanded refusal is among the claims.
pub async fn play(order: &Order, say: fn(&str)) -> bool {
    let mut tally = Tally::new(say);
    tally.note("One incident from trouble to proof: a real PostgreSQL, the real bot, a practice Slack.");
    if let Some(sabotage) = order.sabotage {
        tally.note(&format!("Sabotage: {}", sabotage::described(sabotage)));
    }
    if let Err(e) = story(order, &mut tally).await {
        tally.claim("the story can be played to its end", false, "no fault on the way", &format!("{e:#}"));
    }
    tally.end()
}

async fn story(order: &Order, tally: &mut Tally) -> Result<()> {
    let stage = Stage::start(order).await?;
    if order.keep {
        tally.note(&format!("Everything is kept in {}", stage.folder.path.display()));
    }
    let mut trouble = act::trouble(&stage, tally).await?;
    act::status(&stage, tally, &trouble).await?;
    act::declare(&stage, tally, order.sabotage == Some(Sabotage::Dedupe)).await?;
    let card = act::run(&stage, tally, &trouble).await?;
    let bystander = act::bystander(&stage, tally).await?;
    act::own_click(&stage, tally, &card).await?;
    match order.sabotage {
        Some(Sabotage::Statement) => sabotage::statement(&stage, tally, &card, &trouble).await?,
        Some(Sabotage::Database) => sabotage::database(&stage, tally, &card).await?,
        Some(Sabotage::Dedupe) | None => {
            act::cancel(&stage, tally, &card, &mut trouble).await?;
            act::terminate(&stage, tally, &card, &mut trouble).await?;
            act::recovered(&stage, tally, &card, bystander).await?;
        }
    }
    act::afterwards(&stage, tally).await
}
