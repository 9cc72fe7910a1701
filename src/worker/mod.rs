//! The only stage that touches the outside. Takes leased effects; executes or posts, and submits what
//! came back. Lanes have their own bounds, so that a slow step never delays an approval.

mod chat;
pub mod replies;
mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{error, warn};

use crate::clock;
use crate::engine::Engine;
use crate::execute::Executors;
use crate::model::effect::{Act, Lane};
use crate::model::inbound::{Delivery, Input};
use crate::model::message::Reply;
use crate::model::outcome::Outcome;
use crate::model::time::{Millis, Span};
use crate::persist::{Leased, Store};
use crate::post::rate::Gate;
use crate::post::slack::client::SlackClient;
use replies::Replies;

/// How long a lease lasts without being renewed.
const LEASE: Span = Span::seconds(15);
/// How often a lease in use is renewed.
const RENEW: Duration = Duration::from_secs(5);
/// The longest the worker sleeps without looking.
const LOOK: Duration = Duration::from_secs(1);
/// The shortest time between two looks: under load every commit rings, and one look serves many.
const PACE: Duration = Duration::from_millis(5);

/// Everything the worker works with.
pub struct Worker {
    pub engine: Engine,
    pub store: Store,
    pub execute: Arc<Executors>,
    pub slack: Arc<SlackClient>,
    pub gate: Gate,
    pub replies: Arc<Replies>,
    /// This process' name in leases.
    pub owner: String,
    /// How many outcomes it submitted so far.
    pub submitted: AtomicU64,
}

/// How one effect was left.
enum Left {
    /// Submit this; the effect is then over.
    Outcome(Outcome),
    /// Already submitted, or nothing is left to say.
    Settled,
    /// Certainly nothing went out; try again after this long.
    Later(Duration),
    /// Something may have gone out; try again after this long, knowing that.
    Doubt(Duration),
}

fn room(lane: Lane) -> usize {
    match lane {
        Lane::Approval => 16,
        Lane::Card => 8,
        Lane::Step | Lane::Check | Lane::Timer => 4,
        Lane::History => 2,
    }
}

/// Runs until `stop` says so; then takes no new effects and waits for those in hand.
pub async fn run(worker: Arc<Worker>, mut stop: watch::Receiver<bool>) {
    let rooms: BTreeMap<Lane, Arc<Semaphore>> =
        Lane::ALL.into_iter().map(|l| (l, Arc::new(Semaphore::new(room(l))))).collect();
    let mut tasks = JoinSet::new();
    while !*stop.borrow() {
        let looked = Instant::now();
        let due = due(&worker, &rooms).await;
        let mut took = 0;
        for lane in due.iter().filter(|(_, at)| **at <= clock::now()).map(|(lane, _)| *lane) {
            took += take(&worker, lane, &rooms[&lane], &mut tasks).await;
        }
        while tasks.try_join_next().is_some() {}
        if took == 0 {
            tokio::select! {
                () = worker.engine.work.notified() => {}
                () = tokio::time::sleep(nap(&due)) => {}
                _ = stop.changed() => {}
            }
        }
        tokio::time::sleep_until(looked + PACE).await;
    }
    while tasks.join_next().await.is_some() {}
    if let Err(e) = worker.store.end_leases(Some(&worker.owner)).await {
        warn!(error = %e, "leases could not be given back; they end by themselves");
    }
}

/// When each lane that has work and room is next due. A full lane rings when it has room again.
async fn due(worker: &Worker, rooms: &BTreeMap<Lane, Arc<Semaphore>>) -> BTreeMap<Lane, Millis> {
    match worker.store.due().await {
        Ok(mut due) => {
            due.retain(|lane, _| rooms[lane].available_permits() > 0);
            due
        }
        Err(e) => {
            error!(error = %e, "the store cannot be asked for work");
            BTreeMap::new()
        }
    }
}

fn nap(due: &BTreeMap<Lane, Millis>) -> Duration {
    due.values().min().map_or(LOOK, |at| at.since(clock::now()).std().clamp(PACE, LOOK))
}

async fn take(worker: &Arc<Worker>, lane: Lane, room: &Arc<Semaphore>, tasks: &mut JoinSet<()>) -> usize {
    let free = u32::try_from(room.available_permits()).unwrap_or(0);
    if free == 0 {
        return 0;
    }
    let now = clock::now();
    let leased = match worker.store.lease(&worker.owner, lane, free, (now, now.plus(LEASE))).await {
        Ok(leased) => leased,
        Err(e) => {
            error!(error = %e, "no effects could be leased");
            return 0;
        }
    };
    let count = leased.len();
    for effect in leased {
        let (worker, room) = (Arc::clone(worker), Arc::clone(room));
        tasks.spawn(async move {
            let permit = room.acquire_owned().await;
            handle(&worker, &effect).await;
            drop(permit);
            worker.engine.work.notify_one();
        });
    }
    count
}

/// Does one effect while keeping its lease.
async fn handle(worker: &Arc<Worker>, effect: &Leased) {
    let keeper = {
        let (worker, key) = (Arc::clone(worker), effect.key.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW).await;
                match worker.store.renew(&worker.owner, &key, clock::now().plus(LEASE)).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(e) => warn!(error = %e, key = key.0, "lease not renewed"),
                }
            }
        })
    };
    let left = act(worker, effect).await;
    match left {
        Left::Outcome(outcome) => submit_outcome(worker, effect, outcome).await,
        Left::Settled => {}
        Left::Later(pause) | Left::Doubt(pause) => {
            // A renewal after it would hold back what was put off for a whole lease.
            keeper.abort();
            put_off(worker, effect, pause, matches!(left, Left::Doubt(_))).await;
        }
    }
    keeper.abort();
}

async fn act(worker: &Worker, effect: &Leased) -> Left {
    match &effect.act {
        Act::Check(questions) => steps::check(worker, questions).await,
        Act::Preview(question, acts_on) => steps::preview(worker, question, acts_on).await,
        Act::Look { question, acts_on, changes } => steps::look(worker, question.as_deref(), (acts_on, *changes)).await,
        Act::Start(job) => steps::start(worker, effect, job).await,
        Act::Probe(probe) => Left::Outcome(worker.execute.probe(probe).await),
        Act::Render(card) => chat::render(worker, effect, *card).await,
        Act::Tell { to, channel, reply, thread, message } => {
            chat::tell(worker, effect, (to, reply.as_deref()), (channel, thread.as_deref()), message).await
        }
        Act::Ask { to, channel, trigger, by, form } => chat::ask(worker, (to, channel), (trigger, *by), form).await,
        Act::Open(opening) => match submit(worker, effect, "open", Input::Opening((**opening).clone())).await {
            Reply::Opened(number) => Left::Outcome(Outcome::Opened { number }),
            other => {
                warn!(answer = ?other, key = effect.key.0, "an incident was asked for and not opened");
                Left::Doubt(LOOK)
            }
        },
        Act::Raise(group) => {
            let _ = submit(worker, effect, "raise", Input::Alerted((**group).clone())).await;
            Left::Outcome(Outcome::Told)
        }
        Act::Timer => {
            let input =
                Input::Due { case: effect.case.clone(), effect: effect.key.clone(), generation: effect.generation };
            let _ = submit(worker, effect, "due", input).await;
            Left::Settled
        }
    }
}

async fn put_off(worker: &Worker, effect: &Leased, pause: Duration, doubt: bool) {
    let pause = Span(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
    if let Err(e) = worker.store.put_off(&worker.owner, &effect.key, clock::now().plus(pause), doubt).await {
        warn!(error = %e, key = effect.key.0, "effect not put off; its lease ends by itself");
    }
}

/// Submits what came back. Masked columns were masked before; known secrets go here.
async fn submit_outcome(worker: &Worker, effect: &Leased, mut outcome: Outcome) {
    worker.engine.redactor().outcome(&mut outcome, &[]);
    let input =
        Input::Came { case: effect.case.clone(), effect: effect.key.clone(), generation: effect.generation, outcome };
    let _ = submit(worker, effect, "came", input).await;
}

/// Submits until the store takes it: an outcome that is known must not be lost while the process lives.
/// Every submission has its own key, so that what an effect brings the second time it is asked for is not
/// taken for a repeat of the first.
async fn submit(worker: &Worker, effect: &Leased, kind: &str, input: Input) -> Reply {
    let number = worker.submitted.fetch_add(1, Ordering::Relaxed);
    let key = format!("{kind}/{}/{number}/{}", worker.owner, effect.key.0);
    let mut pause = Duration::from_millis(50);
    loop {
        match worker.engine.submit(Delivery { key: key.clone(), input: input.clone() }).await {
            Ok(reply) => return reply,
            Err(busy) => {
                warn!(%busy, key, "the store did not take it; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
        }
    }
}
