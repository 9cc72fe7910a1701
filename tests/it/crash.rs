//! Crashes: the real bot is killed around an approved step, and the target's own record says whether the
//! effect happened not at all or once, as the card claims.

mod replays;
mod round;
mod runbooks;
mod target;
mod wire;

use std::sync::Arc;

use drbot::practice::slack::Fault;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::support::figures;
use round::{Kind, Line, Point, Word, play};
use target::{Slow, Target};

/// Rounds at the same time.
const AT_ONCE: usize = 4;

/// Kind of step, where it is killed, and how often.
fn rounds() -> Vec<(Kind, Point)> {
    let hang = || Point::BeforeCard(Fault::Hang);
    let plan = [
        (3, Kind::Atomic, Point::AtWork(Slow::Before)),
        (3, Kind::Atomic, Point::AtWork(Slow::Commit)),
        (1, Kind::Atomic, Point::AtWork(Slow::Locked)),
        (1, Kind::Probed, Point::AtWork(Slow::Before)),
        (2, Kind::Probed, Point::AtWork(Slow::After)),
        (1, Kind::Blind, Point::AtWork(Slow::Before)),
        (1, Kind::Blind, Point::AtWork(Slow::After)),
        (1, Kind::Atomic, hang()),
        (1, Kind::Atomic, Point::BeforeCard(Fault::Status(503))),
        (1, Kind::Probed, hang()),
        (1, Kind::Blind, hang()),
        (1, Kind::Atomic, Point::BeforeCommit),
        (1, Kind::Probed, Point::BeforeAck),
        (1, Kind::Atomic, Point::Acked),
        (1, Kind::Blind, Point::Acked),
        (1, Kind::Blind, Point::Started),
    ];
    plan.into_iter().flat_map(|(n, kind, point)| std::iter::repeat_n((kind, point), n)).collect()
}

/// Cancelling sees every session of a server, so these take turns on a server of their own.
async fn cancelling() -> Vec<Line> {
    let target = Target::start(true).await;
    let hang = Point::BeforeCard(Fault::Hang);
    let mut lines = Vec::new();
    for point in [Point::AtWork(Slow::Before), Point::AtWork(Slow::After), hang, Point::Acked] {
        lines.push(play(&target, 1, Kind::Cancel, point).await);
    }
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_around_an_approved_step() {
    let begun = Instant::now();
    let cancelling = tokio::spawn(cancelling());
    let target = Arc::new(Target::start(false).await);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for (i, (kind, point)) in rounds().into_iter().enumerate() {
        // Each round has a new bot whose first case is INC-1: their executions must differ all the same.
        let (target, places) = (Arc::clone(&target), Arc::clone(&places));
        let round = u32::try_from(i).expect("few rounds") + 1;
        tasks.spawn(async move {
            let _place = places.acquire_owned().await.expect("a place");
            (round, play(&target, round, kind, point).await)
        });
    }
    let mut lines = Vec::new();
    while let Some(done) = tasks.join_next().await {
        lines.push(done.unwrap_or_else(|e| tell(&e)));
    }
    lines.sort_by_key(|(round, _)| *round);
    let mut lines: Vec<Line> = lines.into_iter().map(|(_, line)| line).collect();
    lines.extend(cancelling.await.unwrap_or_else(|e| tell(&e)));
    print(&lines, begun);
    let at_work = |l: &&Line| matches!(l.point, Point::AtWork(_));
    let cards = |l: &&Line| matches!(l.point, Point::BeforeCard(_));
    assert!(lines.len() >= 20 && lines.iter().filter(at_work).count() >= 8 && lines.iter().filter(cards).count() >= 4);
    assert!(lines.iter().filter(at_work).any(|l| l.effects == 1), "some had happened");
    assert!(lines.iter().filter(at_work).any(|l| l.effects == 0), "some had not");
    assert!(lines.iter().any(|l| l.word == Word::Unknown), "some cannot be known");
}

/// Fails, and says why at once: whoever has only the first lines of a long output shall see it.
fn tell(why: &JoinError) -> ! {
    figures(&format!("a round failed: {why}").chars().take(1500).collect::<String>());
    panic!("a round failed: {why}")
}

fn print(lines: &[Line], begun: Instant) {
    let row = |cells: [String; 8]| {
        let [n, step, killed, effects, card, cards, told, finally] = cells;
        figures(&format!(
            "{n:>3}  {step:<7}  {killed:<23}  {effects:>7}  {card:<8}  {cards:>5}  {told:>8}  {finally:>7}"
        ));
    };
    row(["", "step", "killed", "effects", "card", "cards", "told", "finally"].map(str::to_owned));
    for (i, l) in lines.iter().enumerate() {
        row([
            (i + 1).to_string(),
            format!("{:?}", l.kind),
            format!("{:?}", l.point),
            l.effects.to_string(),
            format!("{:?}", l.word),
            l.cards.to_string(),
            format!("{} ms", l.told.as_millis()),
            l.finally.to_string(),
        ]);
    }
    figures(&format!("{} kills in {} s", lines.len(), begun.elapsed().as_secs()));
}
