//! Parameters that nobody gave: asked for in a form, told by text where none can be opened. Believed is
//! what the database holds.

use std::time::Duration;

use drbot::practice::slack::{Answer, Door, Private, View, plain_text, private_text};
use serde_json::{Value, json};

use crate::support::Folder;
use crate::world::{CHANNEL, LIMIT, World, private, runbooks, user};

const NOTE: &str = r#"
runbook: note
title: Write a line
tier: 2
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 5m
params:
  again: { type: integer, min: 1, max: 9, default: "2" }
  place: { type: choice, values: [north, south], ask: Which side is meant? }
  table_name: { type: name }
detect:
  every: 24h
  failures: 1
  checks:
    - { id: seen, target: main-db, sql: select 0 as n, expect: { value: { column: n, at_most: 0 } }, figure: "{n} seen" }
steps:
  - id: look
    title: Look at {table_name} in the {place}
    do:
      sql:
        target: main-db
        effect: observe
        risk: safe
        sql: "select :table_name as table_name, :place as place, :again as again"
verify:
  - { id: fine, target: main-db, sql: select 0 as n, expect: { value: { column: n, at_most: 0 } }, figure: "{n} seen" }
"#;

/// A world with that runbook and an open incident.
async fn world() -> (World, Folder) {
    let files = runbooks(&[("note", NOTE)]);
    let folder = files.0.clone();
    let world = World::with(true, move |w| {
        w.runbooks = folder;
        w.parameters.clear();
    })
    .await;
    assert!(world.say("alice", "declare note").await.starts_with("INC-1 is open"));
    (world, files)
}

/// The values with which the database was asked, by its own log of statement parameters.
fn asked(world: &World) -> Vec<String> {
    let log = world.database.as_ref().expect("a database").log_text();
    let lines: Vec<&str> = log.lines().collect();
    let at = (0..lines.len()).filter(|i| lines[*i].contains("execute") && lines[*i].contains("as table_name"));
    at.map(|i| lines[i..].iter().find(|l| l.contains("arameters: ")).unwrap_or(&"").to_string()).collect()
}

async fn form(world: &World) -> View {
    world.slack.wait_view(&user("alice"), LIMIT).await.expect("a form")
}

async fn submit(world: &World, view: &View, values: &[(&str, &str)]) -> Value {
    let answer = world.slack.submit(&user("alice"), &view.id, values).await.expect("sent");
    assert_eq!(answer.status, 200);
    serde_json::from_str(&answer.body).unwrap_or(Value::Null)
}

/// The same form sent again as a request of its own, by whomever.
async fn forged(world: &World, view: &View, who: &str, values: Value) -> Answer {
    let mut shown = view.view.clone();
    shown["state"] = json!({"values": values});
    let who = user(who);
    let payload = json!({"type": "view_submission", "team": {"id": who.team}, "user": {"id": who.user, "team_id": who.team},
        "trigger_id": "", "view": shown});
    let body =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload.to_string()).finish();
    world.slack.redeliver(&world.slack.sign(Door::Interactions, body)).await
}

fn state() -> Value {
    json!({
        "param-table_name": {"param-table_name": {"type": "plain_text_input", "value": "bookings"}},
        "param-place": {"param-place": {"type": "static_select", "selected_option": {"value": "south"}}},
        "param-again": {"param-again": {"type": "plain_text_input", "value": "3"}},
    })
}

/// Missing parameters open a form; a wrong value is refused under its field and starts nothing; a right one
/// runs with exactly that value; sent again, it starts nothing.
#[tokio::test]
async fn a_form_asks_for_what_is_missing() {
    let (world, _files) = world().await;
    let told = world.say("alice", "run note again=4").await;
    assert!(told.contains("`note` needs a value for `place`, `table_name`"), "{told}");
    assert!(told.contains("/dr run note again=4 place=VALUE table_name=VALUE"), "{told}");
    let view = form(&world).await;
    let inputs: Vec<&Value> =
        view.view["blocks"].as_array().expect("blocks").iter().filter(|b| b["type"] == "input").collect();
    let ids: Vec<&str> = inputs.iter().map(|b| b["block_id"].as_str().unwrap_or_default()).collect();
    assert_eq!(ids, ["param-place", "param-table_name", "param-again"], "what needs a value comes first");
    assert_eq!(inputs[0]["element"]["type"], "static_select");
    assert_eq!(inputs[0]["hint"]["text"], "Which side is meant? One of north, south.");
    assert_eq!((&inputs[2]["element"]["initial_value"], &inputs[2]["optional"]), (&json!("4"), &json!(true)));
    assert_eq!(inputs[2]["hint"]["text"], "A whole number, from 1 to 9.");

    let wrong = [("param-place", "south"), ("param-table_name", "book ings"), ("param-again", "10")];
    let answer = submit(&world, &view, &wrong).await;
    assert_eq!(answer["response_action"], "errors", "{answer}");
    assert!(answer["errors"]["param-table_name"].as_str().is_some_and(|t| t.contains("a name has only letters")));
    assert!(answer["errors"]["param-again"].as_str().is_some_and(|t| t.contains("from 1 to 9")), "{answer}");
    assert_eq!(answer["errors"]["param-place"], Value::Null);
    assert_eq!(asked(&world), Vec::<String>::new(), "a refused form starts nothing");

    let answer = submit(&world, &view, &[("param-place", "south"), ("param-table_name", "bookings")]).await;
    assert_eq!(answer, Value::Null, "the form closes");
    let done = world.see(|t| t.contains("INC-1") && t.contains("Recovered after")).await;
    assert!(plain_text(&done).contains("Look at bookings in the south"), "{}", plain_text(&done));
    let ran = asked(&world);
    assert_eq!(ran.len(), 1, "{ran:?}");
    assert!(ran[0].contains("'bookings'") && ran[0].contains("'south'") && ran[0].contains("'4'"), "{ran:?}");
    let started = |p: &Private| private_text(p).contains("Started in INC-1: Write a line");
    assert!(world.slack.wait_private((CHANNEL, &user("alice")), started, LIMIT).await.is_ok(), "she is told");

    let again = forged(&world, &view, "alice", state()).await;
    assert!(again.body.contains("already used") && again.body.contains("param-place"), "{}", again.body);
    assert_eq!(asked(&world).len(), 1, "a form that was used starts nothing");
    world.finish();
}

/// A form belongs to the person who asked; a stranger's and a colleague's submission start nothing.
#[tokio::test]
async fn nobody_else_may_send_the_form() {
    let (world, _files) = world().await;
    world.say("alice", "run note").await;
    let view = form(&world).await;
    for who in ["bob", "mallory"] {
        let answer = forged(&world, &view, who, state()).await;
        assert!(answer.body.contains("Only the person who opened this form"), "{who}: {}", answer.body);
    }
    assert_eq!(asked(&world), Vec::<String>::new());
    // Hers still works, with the value that bob tried.
    let answer = forged(&world, &view, "alice", state()).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    world.see(|t| t.contains("INC-1") && t.contains("Recovered after")).await;
    assert!(asked(&world)[0].contains("'3'"), "{:?}", asked(&world));
    world.finish();
}

/// A form that comes too late, and one that cannot be: the person is told what to type.
#[tokio::test]
async fn without_a_form_the_text_says_what_to_type() {
    let (world, _files) = world().await;
    let alice = user("alice");
    // The trigger grows old on the way.
    let body = world.slack.slash_body(&alice, CHANNEL, "run note place=north");
    world.slack.advance(Duration::from_secs(4));
    let signed = world.slack.sign(Door::Commands, body);
    let answer = world.slack.redeliver(&signed).await;
    assert!(private(&answer.body).contains("table_name=VALUE"), "{}", answer.body);
    let told = |part: &'static str| move |p: &Private| private_text(p).contains(part);
    let late = "could not be opened. Type /dr run note place=north table_name=VALUE";
    let found = world.slack.wait_private((CHANNEL, &alice), told(late), LIMIT).await;
    assert!(
        found.is_ok(),
        "told by text: {:?}",
        world.slack.privates(CHANNEL, &alice).iter().map(private_text).collect::<Vec<_>>()
    );

    // A mention brings no trigger.
    world.slack.mention(&alice, (CHANNEL, None), "run note").await.expect("a place to write");
    let text = "needs a value for place, table_name. Type /dr run note place=VALUE table_name=VALUE";
    let found = world.slack.wait_private((CHANNEL, &alice), told(text), LIMIT).await;
    assert!(found.is_ok(), "{:?}", world.slack.privates(CHANNEL, &alice).iter().map(private_text).collect::<Vec<_>>());
    assert!(world.slack.views().is_empty(), "no form was opened");

    // What was given wrongly is said before anything is asked.
    assert!(world.say("alice", "run note place=up").await.contains("choose one of north, south"));
    assert!(world.say("alice", "run note place=north table_name=bookings").await.starts_with("Started in INC-1"));
    world.see(|t| t.contains("INC-1") && t.contains("Recovered after")).await;
    assert!(asked(&world)[0].contains("'2'"), "the default: {:?}", asked(&world));
    world.finish();
}

const CHOSEN: &str = r#"
runbook: chosen
title: Look at bookings
tier: 2
objectives: { rto: 4h, rpo: 24h, mttr: 2h }
estimate: 5m
params:
  least: { type: integer, default: "1" }
  ids:
    type: integer
    ask: Which bookings?
    pick:
      target: main-db
      sql: "select id::text, 'booking ' || id as what from generate_series(:least::int, 3) as b(id) order by id"
      value: id
      label: what
      many: true
detect:
  every: 24h
  failures: 1
  checks:
    - { id: seen, target: main-db, sql: select 0 as n, expect: { value: { column: n, at_most: 0 } }, figure: "{n} seen" }
steps:
  - id: look
    title: Look at {ids}
    do:
      sql:
        target: main-db
        effect: observe
        risk: safe
        sql: "select i as table_name from unnest(string_to_array(:ids, ',')) as t(i)"
verify:
  - { id: fine, target: main-db, sql: select 0 as n, expect: { value: { column: n, at_most: 0 } }, figure: "{n} seen" }
"#;

/// A parameter with a live list: the list is fetched, its person gets a button, nobody else can use it, and
/// what was chosen runs.
#[tokio::test]
async fn a_parameter_is_chosen_from_a_live_list() {
    let files = runbooks(&[("chosen", CHOSEN)]);
    let folder = files.0.clone();
    let world = World::with(true, move |w| {
        w.runbooks = folder;
        w.parameters.clear();
    })
    .await;
    let alice = user("alice");
    world.say("alice", "declare chosen").await;
    let told = world.say("alice", "run chosen").await;
    assert!(told.contains("Listing `ids`") && told.contains("/dr run chosen ids=VALUE"), "{told}");
    let here = |p: &Private| private_text(p).contains("the list is here");
    let message = world.slack.wait_private((CHANNEL, &alice), here, LIMIT).await.expect("the list");
    let log = world.database.as_ref().expect("a database").log_text();
    let listed: Vec<&str> = log.lines().filter(|l| l.contains("execute") && l.contains("generate_series(")).collect();
    assert!(!listed.is_empty() && listed.iter().all(|l| l.contains("user=drbot_observer")), "only reading: {listed:?}");
    world.slack.click_private(&user("bob"), &message, "Choose").await.expect("pressed");
    let refused = |p: &Private| private_text(p).contains("for the person who asked for it");
    assert!(world.slack.wait_private((CHANNEL, &user("bob")), refused, LIMIT).await.is_ok());
    assert!(world.slack.views().is_empty(), "no form for bob");

    world.slack.click_private(&alice, &message, "Choose").await.expect("pressed");
    let view = form(&world).await;
    let blocks = view.view["blocks"].as_array().expect("blocks");
    let element = &blocks.iter().find(|b| b["block_id"] == "param-ids").expect("the field")["element"];
    assert_eq!(element["type"], "multi_static_select");
    let options: Vec<(&str, &str)> = element["options"]
        .as_array()
        .expect("options")
        .iter()
        .map(|o| (o["value"].as_str().unwrap_or_default(), o["text"]["text"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(options, [("1", "booking 1"), ("2", "booking 2"), ("3", "booking 3")]);
    assert_eq!(submit(&world, &view, &[("param-ids", "1,3")]).await, Value::Null);
    world.see(|t| t.contains("INC-1") && t.contains("Recovered after")).await;
    let ran = asked(&world);
    assert!(ran.len() == 1 && ran[0].contains("'1,3'"), "{ran:?}");

    // The button leads to nothing once its run has started; a list that is too long is told; by text each
    // element is checked.
    world.slack.click_private(&alice, &message, "Choose").await.expect("pressed");
    assert!(world.slack.views().iter().all(|v| !v.open), "a used list opens no form");
    world.say("alice", "run chosen least=-200").await;
    let long = |p: &Private| private_text(p).contains("there are 204 rows, and a list holds 100");
    let found = world.slack.wait_private((CHANNEL, &alice), long, LIMIT).await;
    assert!(found.is_ok(), "{:?}", world.slack.privates(CHANNEL, &alice).iter().map(private_text).collect::<Vec<_>>());
    assert!(world.say("alice", "run chosen ids=1,x").await.contains("`x` is not a whole number"));
    assert!(world.say("alice", "run chosen ids=2,3").await.starts_with("Started in INC-1"));
    world.slack.wait(LIMIT, || (asked(&world).len() == 2).then_some(())).await.expect("it ran");
    assert!(asked(&world)[1].contains("'2,3'"));
    world.finish();
}
