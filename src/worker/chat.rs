//! Chat: draws cards from what is stored now and brings them to their channel, once; tells people; opens
//! forms.

use std::time::Duration;

use serde_json::{Value, json};
use tracing::warn;

use super::{Left, Worker};
use crate::clock;
use crate::decide::narrate::Drawn;
use crate::model::case::{Body, Card, Case};
use crate::model::effect::{AskForm, CardKind};
use crate::model::message::Message;
use crate::model::outcome::Outcome;
use crate::model::person::Speaker;
use crate::model::time::Millis;
use crate::persist::Leased;
use crate::post::slack::blocks;
use crate::post::slack::client::Sent;

/// How often a short message to a person is tried; after that its moment is over.
const TELLS: u32 = 5;
/// The pause after an answer that left it open whether a post happened.
const DOUBT: Duration = Duration::from_secs(2);

/// Brings a card up to date.
pub(super) async fn render(worker: &Worker, effect: &Leased, kind: CardKind) -> Left {
    let drawn = worker.engine.draw(&effect.case, kind, clock::now()).await;
    let (case, drawn) = match drawn {
        Ok((case, Some(drawn))) => (case, drawn),
        Ok((_, None)) => return Left::Outcome(Outcome::Told),
        Err(e) => {
            warn!(error = %e, case = effect.case.0, "card not drawn");
            return Left::Doubt(DOUBT);
        }
    };
    let mut payload = blocks::message(&redacted(worker, drawn.message.clone())).payload;
    if drawn.loud {
        payload["reply_broadcast"] = json!(true);
    }
    let standing = case.cards.get(&kind).filter(|c| c.failed.is_none()).cloned();
    match (kind, standing) {
        (CardKind::Main, Some(card)) => update(worker, effect, &card, &payload).await,
        (CardKind::Main, None) => match spot(&case) {
            Some((channel, thread)) => post(worker, effect, Spot { channel, thread, kind }, (&payload, &drawn)).await,
            None => Left::Outcome(Outcome::Told),
        },
        (CardKind::History, _) => match case.cards.get(&CardKind::Main) {
            Some(Card { failed: Some(_), .. }) => Left::Outcome(Outcome::Told),
            Some(main) => {
                // A card that is itself an answer cannot carry a thread: its own goes on.
                let thread = spot(&case).and_then(|(_, thread)| thread).unwrap_or(&main.ts);
                post(worker, effect, Spot { channel: &main.channel, thread: Some(thread), kind }, (&payload, &drawn))
                    .await
            }
            // The thread hangs under the card: wait for it.
            None => Left::Later(Duration::from_secs(1)),
        },
    }
}

struct Spot<'a> {
    channel: &'a str,
    thread: Option<&'a str>,
    kind: CardKind,
}

/// Where the main card of a case belongs: its channel, and the thread it was asked for in.
fn spot(case: &Case) -> Option<(&str, Option<&str>)> {
    match &case.body {
        Body::Incident(incident) => Some((&incident.declared.channel, None)),
        Body::Check(status) => Some((&status.channel, status.thread.as_deref())),
        Body::Plan(plan) => Some((&plan.channel, plan.thread.as_deref())),
        Body::Alarm(alarm) => Some((&alarm.channel, None)),
        _ => None,
    }
}

fn redacted(worker: &Worker, message: Message) -> Message {
    let text = serde_json::to_string(&message).unwrap_or_default();
    serde_json::from_str(&worker.engine.redactor().text(&text))
        .unwrap_or_else(|_| Message::text("(withheld: this message could not be redacted)"))
}

async fn update(worker: &Worker, effect: &Leased, card: &Card, payload: &Value) -> Left {
    let Some(kind) = kind_of(effect) else { return Left::Settled };
    let lane = edits(&card.channel);
    worker.gate.pass(&lane, true).await;
    match worker.slack.update(&card.channel, &card.ts, payload).await {
        Sent::Ok(()) => Left::Outcome(Outcome::Posted {
            card: kind,
            channel: card.channel.clone(),
            ts: card.ts.clone(),
            upto: card.upto,
            more: false,
        }),
        Sent::Later { after } => later(worker, &lane, after),
        Sent::Doubtful { why } => {
            // Editing to the same content twice is the same as once.
            warn!(why, case = effect.case.0, "card edit in doubt; trying again");
            Left::Doubt(DOUBT)
        }
        Sent::Refused { error, detail } if undrawable(&error) && has_blocks(payload) => {
            warn!(error, detail, case = effect.case.0, "chat refused the card's blocks; saying it in plain text");
            Box::pin(update(worker, effect, card, &plain(payload))).await
        }
        Sent::Refused { error, detail } => refused(effect, kind, &error, &detail),
    }
}

/// Edits have a limit of their own, apart from posts in the same channel: buttons must vanish at once.
fn edits(channel: &str) -> String {
    format!("{channel}/edits")
}

fn kind_of(effect: &Leased) -> Option<CardKind> {
    match &effect.act {
        crate::model::effect::Act::Render(kind) => Some(*kind),
        _ => None,
    }
}

fn later(worker: &Worker, channel: &str, after: Duration) -> Left {
    worker.gate.hold(channel, after);
    Left::Later(after)
}

fn refused(effect: &Leased, card: CardKind, error: &str, detail: &str) -> Left {
    warn!(error, detail, case = effect.case.0, "chat refused the card");
    Left::Outcome(Outcome::PostFailed { card, why: format!("{error} {detail}").trim().to_owned() })
}

/// Posts a message that is not there yet. After a crash or a doubtful answer it may be: then it is
/// looked for by its marker first, and a repeat says that it is one.
async fn post(worker: &Worker, effect: &Leased, spot: Spot<'_>, what: (&Value, &Drawn)) -> Left {
    let (payload, drawn) = what;
    let marker = format!("{}/{}", effect.key.0, drawn.upto);
    let mut payload = payload.clone();
    let posted = |ts: String| {
        Left::Outcome(Outcome::Posted {
            card: spot.kind,
            channel: spot.channel.to_owned(),
            ts,
            upto: drawn.upto,
            more: drawn.more,
        })
    };
    if effect.attempt > 1 {
        match look(worker, &spot, &marker).await {
            Sent::Ok(Some(ts)) => return adopt(worker, &spot, ts, (&payload, drawn)).await,
            Sent::Ok(None) => label_repeat(&mut payload),
            Sent::Later { after } => return later(worker, spot.channel, after),
            Sent::Doubtful { .. } => return Left::Doubt(DOUBT),
            Sent::Refused { error, detail } => {
                warn!(error, detail, "history cannot be read, so a repeat cannot be ruled out");
                label_repeat(&mut payload);
            }
        }
    }
    worker.gate.pass(spot.channel, spot.kind == CardKind::Main).await;
    match worker.slack.post(spot.channel, spot.thread, &marker, &payload).await {
        Sent::Ok(ts) => posted(ts),
        Sent::Later { after } => later(worker, spot.channel, after),
        Sent::Doubtful { why } => {
            warn!(why, case = effect.case.0, "post in doubt; looking for it before another try");
            Left::Doubt(DOUBT)
        }
        Sent::Refused { error, detail } if undrawable(&error) && has_blocks(&payload) => {
            warn!(error, detail, case = effect.case.0, "chat refused the card's blocks; saying it in plain text");
            Box::pin(post(worker, effect, spot, (&plain(&payload), drawn))).await
        }
        Sent::Refused { error, detail } => refused(effect, spot.kind, &error, &detail),
    }
}

/// Errors that are about how a message is drawn, not about whether it may be sent.
fn undrawable(error: &str) -> bool {
    matches!(error, "invalid_blocks" | "invalid_blocks_format" | "msg_blocks_too_long")
}

fn has_blocks(payload: &Value) -> bool {
    payload["blocks"].as_array().is_some_and(|b| !b.is_empty())
}

/// The message without its drawing: better a plain sentence than silence.
fn plain(payload: &Value) -> Value {
    let text = payload["text"].as_str().unwrap_or_default();
    json!({"text": format!("{text}\n(Chat refused the drawn card. Type /dr show and /dr next; decisions work by /dr approve and /dr deny.)"), "blocks": []})
}

/// Two complete looks, a second apart: chat may show a message a little after it took it.
async fn look(worker: &Worker, spot: &Spot<'_>, marker: &str) -> Sent<Option<String>> {
    let oldest = format!("{}.000000", (clock::now().0 - 60 * 60 * 1_000) / 1_000);
    for round in 0..2 {
        if round > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        match worker.slack.find(spot.channel, spot.thread, marker, &oldest).await {
            Sent::Ok(None) => {}
            other => return other,
        }
    }
    Sent::Ok(None)
}

/// The message is there: take it over and bring it up to date.
async fn adopt(worker: &Worker, spot: &Spot<'_>, ts: String, what: (&Value, &Drawn)) -> Left {
    let (payload, drawn) = what;
    let lane = edits(spot.channel);
    worker.gate.pass(&lane, true).await;
    match worker.slack.update(spot.channel, &ts, payload).await {
        Sent::Later { after } => later(worker, &lane, after),
        _ => Left::Outcome(Outcome::Posted {
            card: spot.kind,
            channel: spot.channel.to_owned(),
            ts,
            upto: drawn.upto,
            more: drawn.more,
        }),
    }
}

fn label_repeat(payload: &mut Value) {
    const LABEL: &str = "(repeat: an earlier copy of this message may exist)";
    let text = payload["text"].as_str().unwrap_or_default();
    payload["text"] = json!(format!("{LABEL} {text}"));
    let label = json!({"type": "context", "elements": [{"type": "plain_text", "text": LABEL}]});
    if let Some(blocks) = payload["blocks"].as_array_mut().filter(|b| b.len() < 50) {
        blocks.insert(0, label);
    }
}

/// A short message to one person: to the address that came with their request, else as an ephemeral one.
pub(super) async fn tell(
    worker: &Worker,
    effect: &Leased,
    to: (&Speaker, Option<&str>),
    place: (&str, Option<&str>),
    message: &Message,
) -> Left {
    let (speaker, reply) = to;
    let payload = blocks::message(&redacted(worker, message.clone())).payload;
    let address = reply.and_then(|handle| worker.replies.find(handle));
    if let Some(url) = address.filter(|_| effect.attempt == 1)
        && let Sent::Ok(()) = worker.slack.respond(&url, &payload).await
    {
        return Left::Outcome(Outcome::Told);
    }
    match worker.slack.ephemeral(place, &speaker.user, &payload).await {
        Sent::Ok(()) => Left::Outcome(Outcome::Told),
        Sent::Later { after } if effect.attempt < TELLS => Left::Later(after),
        Sent::Doubtful { .. } if effect.attempt < TELLS => Left::Doubt(DOUBT),
        other => {
            warn!(answer = ?other, "a person could not be told");
            Left::Outcome(Outcome::Told)
        }
    }
}

/// Opens a form while its moment lasts; a person whose form could not be opened is told, because a
/// button that does nothing is pressed again.
pub(super) async fn ask(worker: &Worker, to: (&Speaker, &str), when: (&str, Millis), form: &AskForm) -> Left {
    let (trigger, by) = when;
    let sent = if clock::now() > by {
        Sent::Refused { error: "too late".into(), detail: "its moment passed before it was sent".into() }
    } else {
        worker.slack.open_view(trigger, &blocks::modal(form)).await
    };
    if !matches!(sent, Sent::Ok(())) {
        warn!(answer = ?sent, "a form could not be opened");
        let text = format!(
            "The form `{}` could not be opened. Press the button again, or type the command that the card shows below it.",
            form.title
        );
        let told =
            worker.slack.ephemeral((to.1, None), &to.0.user, &blocks::message(&Message::text(text)).payload).await;
        if !matches!(told, Sent::Ok(())) {
            warn!(answer = ?told, "nor could the person be told");
        }
    }
    Left::Outcome(Outcome::Told)
}
