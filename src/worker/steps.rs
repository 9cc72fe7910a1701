//! Steps: asks the executor and masks what may hold customers' data before anybody sees it.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Left, Worker, submit};
use crate::model::effect::{Job, Question};
use crate::model::inbound::Input;
use crate::model::message::Reply;
use crate::model::outcome::{Ended, Outcome};
use crate::persist::Leased;

/// A start must follow the commit of its intent within this time of the boot clock, which does not jump.
const START_WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn check(worker: &Worker, questions: &[Question]) -> Left {
    Left::Outcome(Outcome::Checked(join_all(questions.iter().map(|q| worker.execute.check(q))).await))
}

pub(super) async fn preview(worker: &Worker, question: &Question, acts_on: &str) -> Left {
    let mut outcome = worker.execute.preview(question, acts_on).await;
    worker.engine.redactor().outcome(&mut outcome, &question.sensitive);
    Left::Outcome(outcome)
}

/// Shows what a step would meet; `at` is its target and whether it would change something there.
pub(super) async fn look(worker: &Worker, question: Option<&Question>, at: (&str, bool)) -> Left {
    let (acts_on, changes) = at;
    let mut outcome = worker.execute.look(question, acts_on, changes).await;
    worker.engine.redactor().outcome(&mut outcome, question.map_or(&[], |q| q.sensitive.as_slice()));
    Left::Outcome(outcome)
}

/// Asks for leave, which stores the intent, and only then runs.
pub(super) async fn start(worker: &Worker, effect: &Leased, job: &Job) -> Left {
    let asked = Instant::now();
    let input = Input::Starting {
        case: effect.case.clone(),
        effect: effect.key.clone(),
        generation: effect.generation,
        attempt: effect.attempt,
        digest: job.hash(),
    };
    match submit(worker, effect, "start", input).await {
        Reply::Go if asked.elapsed() <= START_WITHIN => {
            let ended = worker.execute.run(job).await;
            let mut outcome = Outcome::Ended(ended);
            worker.engine.redactor().outcome(&mut outcome, &job.sensitive);
            Left::Outcome(outcome)
        }
        Reply::Go => Left::Outcome(Outcome::Ended(Ended::NotStarted {
            why: format!(
                "the start came {} s after its intent was stored, so it was given up",
                asked.elapsed().as_secs()
            ),
        })),
        _ => Left::Settled,
    }
}
