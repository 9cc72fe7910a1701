//! The pacing of posts, with time that stands still until everybody waits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use drbot::post::rate::Gate;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Lets the waiters in one after the other and notes who passed when.
struct Race {
    gate: Arc<Gate>,
    begun: Instant,
    passed: Arc<Mutex<Vec<(String, u128)>>>,
    tasks: JoinSet<()>,
}

impl Race {
    fn new() -> Race {
        let gate = Arc::new(Gate::default());
        Race { gate, begun: Instant::now(), passed: Arc::default(), tasks: JoinSet::new() }
    }

    async fn enter(&mut self, name: &str, channel: &str, urgent: bool) {
        let (gate, passed, begun) = (Arc::clone(&self.gate), Arc::clone(&self.passed), self.begun);
        let (name, channel) = (name.to_owned(), channel.to_owned());
        self.tasks.spawn(async move {
            gate.pass(&channel, urgent).await;
            passed.lock().unwrap().push((name, begun.elapsed().as_millis()));
        });
        tokio::task::yield_now().await;
    }

    async fn result(mut self) -> Vec<(String, u128)> {
        while self.tasks.join_next().await.is_some() {}
        self.passed.lock().unwrap().clone()
    }
}

fn times(passed: &[(String, u128)]) -> Vec<(&str, u128)> {
    passed.iter().map(|(name, at)| (name.as_str(), at / 10 * 10)).collect()
}

#[tokio::test(start_paused = true)]
async fn posts_of_one_channel_are_spaced_and_channels_do_not_wait_for_each_other() {
    let mut race = Race::new();
    for name in ["a", "b", "c"] {
        race.enter(name, "C1", false).await;
    }
    race.enter("other", "C2", false).await;
    let passed = race.result().await;
    assert_eq!(times(&passed), [("a", 0), ("other", 0), ("b", 1000), ("c", 2000)]);
}

#[tokio::test(start_paused = true)]
async fn urgent_waiters_go_first_whenever_they_came() {
    let mut race = Race::new();
    race.enter("first", "C1", false).await;
    race.enter("chatter", "C1", false).await;
    race.enter("more chatter", "C1", false).await;
    tokio::time::advance(Duration::from_millis(400)).await;
    race.enter("card", "C1", true).await;
    race.enter("second card", "C1", true).await;
    let passed = race.result().await;
    let expected = [("first", 0), ("card", 1000), ("second card", 2000), ("chatter", 3000), ("more chatter", 4000)];
    assert_eq!(times(&passed), expected);
}

#[tokio::test(start_paused = true)]
async fn a_hold_stops_everybody_in_that_channel_even_those_who_wait_already() {
    let mut race = Race::new();
    race.enter("first", "C1", false).await;
    race.enter("card", "C1", true).await;
    race.gate.hold("C1", 30 * SECOND);
    race.gate.hold("C1", 2 * SECOND);
    race.enter("other channel", "C2", false).await;
    let passed = race.result().await;
    assert_eq!(times(&passed), [("first", 0), ("other channel", 0), ("card", 30_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_blocks_nobody() {
    let gate = Gate::default();
    gate.pass("C1", false).await;
    let begun = Instant::now();
    let gone = tokio::time::timeout(SECOND / 2, gate.pass("C1", true)).await;
    assert!(gone.is_err(), "the wait is longer than the patience");
    gate.pass("C1", false).await;
    assert!(begun.elapsed() < SECOND * 3 / 2, "passed after {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn idle_channels_are_forgotten_and_held_ones_are_not() {
    let gate = Gate::default();
    for n in 0..500 {
        gate.pass(&format!("C{n}"), false).await;
    }
    assert_eq!(gate.remembered(), 500);
    gate.hold("C7", 700 * SECOND);
    tokio::time::advance(601 * SECOND).await;
    gate.pass("new", false).await;
    assert_eq!(gate.remembered(), 2, "the held one and the new one");
    let begun = Instant::now();
    gate.pass("C7", true).await;
    assert!(begun.elapsed() >= 98 * SECOND, "the hold survived: {:?}", begun.elapsed());
}
