//! Answers that change nothing. Takes a command and what is known; gives the private reply.

use super::draft::Draft;
use super::{Cx, alerts, approve, narrate, policy, private, route};
use crate::model::approval::ApprovalId;
use crate::model::command::{Asked, Command, VERBS, verb};
use crate::model::inbound::Place;
use crate::model::message::{Message, Part, Reply, Run as Text};
use crate::model::person::Speaker;
use crate::model::runbook::Risk;

/// How many lines of the timeline one answer shows.
const LINES: usize = 40;

/// A command that belongs to no case, or to one that cannot be told.
pub(crate) fn without_case(cx: &Cx<'_>, by: &Speaker, place: &Place, said: &Result<Asked, String>) -> Reply {
    match said {
        Err(text) => private(text.clone()),
        Ok(Asked { command: Command::Ack { alert }, .. }) => alerts::no_ack(cx, by, place, alert.as_deref()),
        Ok(asked) if route::on_incident(&asked.command) => private(which_incident(cx, asked, place)),
        Ok(asked) => plain(cx, by, &asked.command),
    }
}

fn which_incident(cx: &Cx<'_>, asked: &Asked, place: &Place) -> String {
    if let Some(number) = asked.incident {
        return format!("There is no open incident INC-{number}.");
    }
    let live: Vec<String> = cx
        .world
        .open
        .values()
        .filter(|o| o.recovered.is_none() && !cx.world.rules.hides(&o.channel, &place.channel))
        .map(|o| format!("INC-{} ({})", o.number, o.title))
        .take(10)
        .collect();
    let here = cx.world.open.values().filter(|o| o.channel == place.channel && o.recovered.is_none()).count();
    match (here, live.is_empty()) {
        (0, true) => "No incident is open. `/dr declare RUNBOOK` opens one.".into(),
        (0, false) => {
            format!("No incident is open in this channel. Name one, for example `/dr show INC-n`: {}.", live.join(", "))
        }
        _ => format!(
            "Several incidents are open in this channel. Name one, for example `/dr show INC-n`: {}.",
            live.join(", ")
        ),
    }
}

/// Commands that need nothing but the roster and the catalog.
pub(crate) fn plain(cx: &Cx<'_>, by: &Speaker, command: &Command) -> Reply {
    match command {
        Command::Help { verb: None } => Reply::Private(help()),
        Command::Help { verb: Some(name) } => verb(name).map_or_else(
            || private("There is no such command."),
            |v| private(format!("{}\n{}\nExample: /dr {}", v.usage(), v.summary, v.example)),
        ),
        Command::Detect { .. } => private(format!("Name one: `/dr detect RUNBOOK`. {}", known(cx))),
        Command::Runbooks => Reply::Private(narrate::runbooks::list(cx.catalog)),
        Command::Whoami => private(whoami(cx, by)),
        Command::Approve { id } | Command::Deny { id, .. } | Command::Verify { id } | Command::Withdraw { id } => {
            private(approve::unknown_approval(&ApprovalId(id.clone())))
        }
        _ => private("That command does not fit here. `/dr help` lists all commands."),
    }
}

fn help() -> Message {
    let mut runs = Vec::new();
    for v in VERBS {
        runs.push(Text::Code(v.usage()));
        runs.push(Text::Plain(format!("  {}\n", v.summary)));
    }
    Message {
        notify: "drbot commands".into(),
        parts: vec![
            Part::Text(runs),
            Part::Small(
                "INC-n may be left out in a channel with one open incident, and in an incident's thread.".into(),
            ),
            Part::Small("In a thread, write @drbot instead of /dr: Slack runs no slash commands there.".into()),
        ],
    }
}

fn whoami(cx: &Cx<'_>, by: &Speaker) -> String {
    let Some(person) = cx.roster.person(by) else { return approve::stranger() };
    let policies = &cx.world.rules.policies;
    let tiers = |risk: Risk| {
        let of =
            policies.iter().filter(|((_, r), p)| *r == risk && p.all_of.iter().any(|q| person.roles.contains(&q.role)));
        let tiers: Vec<String> = of.map(|((tier, _), _)| tier.to_string()).collect();
        let all = policies.keys().filter(|(_, r)| *r == risk).count() == tiers.len();
        let which = if all { String::new() } else { format!(" (tier {})", tiers.join(", ")) };
        (!tiers.is_empty()).then(|| format!("{}{which}", risk.word()))
    };
    let may: Vec<String> = [Risk::Disruptive, Risk::Destructive].into_iter().filter_map(tiers).collect();
    let may =
        if may.is_empty() { "no steps".to_owned() } else { format!("{} steps that others ask for", may.join(" and ")) };
    let roles =
        if person.roles.is_empty() { "no roles".to_owned() } else { format!("roles {}", person.roles.join(", ")) };
    format!("You are {} ({}), {roles}. You may approve {may}.", person.name, person.id.0)
}

/// A runbook name that is not known, with the known ones.
pub(crate) fn no_runbook(cx: &Cx<'_>, name: &str) -> String {
    if let Some(s) = cx.catalog.shared.scenarios.iter().find(|s| s.runbook == name || s.id.eq_ignore_ascii_case(name)) {
        return format!("Scenario {} ({}) has no runbook here yet. {}", s.id, s.title, known(cx));
    }
    format!("There is no runbook `{name}`. {}", known(cx))
}

/// The runbooks there are.
fn known(cx: &Cx<'_>) -> String {
    let known: Vec<&str> = cx.catalog.runbooks.keys().map(String::as_str).collect();
    format!("Runbooks: {}.", known.join(", "))
}

/// What the store knows about an approval.
pub(crate) fn verify(draft: &Draft, cx: &Cx<'_>, id: &str) -> Reply {
    let id = ApprovalId(id.to_owned());
    let found = draft.run().and_then(|r| r.approval(&id));
    let Some(a) = found else { return private(approve::not_now(draft, &id)) };
    let sound = a.action.digest() == a.digest;
    let votes: Vec<String> = a.votes.iter().map(|(p, at)| format!("{} at {}", cx.roster.name(p), at.clock())).collect();
    let facts = vec![
        ("Approval".to_owned(), a.id.0.clone()),
        ("State".to_owned(), approve::decided(&a.standing, cx)),
        ("Step".to_owned(), format!("{} ({}), on {}", a.action.title, a.action.risk.word(), a.action.target)),
        ("Rows".to_owned(), a.action.preview.count().to_string()),
        ("Asked by".to_owned(), format!("{} at {}", cx.roster.name(&a.action.requester), a.asked.clock())),
        ("Agreed".to_owned(), if votes.is_empty() { "nobody yet".into() } else { votes.join(", ") }),
        ("Policy".to_owned(), policy::of(a, cx.roster).text(cx.roster)),
        ("Digest".to_owned(), a.digest.clone()),
        (
            "Record".to_owned(),
            if sound {
                "the stored action matches its digest".into()
            } else {
                "THE STORED ACTION DOES NOT MATCH ITS DIGEST: do not trust it".into()
            },
        ),
    ];
    let mut parts = vec![Part::Facts(facts), Part::Code(narrate::incident::deed_text(&a.action.deed))];
    if let Some(undo) = &a.action.agreed {
        parts.push(Part::Text(vec![Text::Bold(format!("Taken back by itself when {}:", undo.when))]));
        parts.push(Part::Code(narrate::incident::deed_text(&undo.deed)));
    }
    Reply::Private(Message { notify: format!("Approval {}: {}", a.id.0, a.standing.word()), parts })
}

/// What a step did.
pub(crate) fn show_step(draft: &Draft, cx: &Cx<'_>, step: &str) -> Reply {
    let found = draft
        .run()
        .and_then(|r| r.steps.iter().position(|s| s.id == step).map(|at| (&r.loaded.runbook.steps[at], &r.steps[at])));
    let Some((definition, state)) = found else {
        let known: Vec<&str> = draft.run().map(|r| r.steps.iter().map(|s| s.id.as_str()).collect()).unwrap_or_default();
        let known =
            if known.is_empty() { "no runbook was started".to_owned() } else { format!("steps: {}", known.join(", ")) };
        return private(format!("There is no step `{step}` here; {known}."));
    };
    Reply::Private(narrate::incident::step_shown(definition, state, cx.roster))
}

/// The newest lines of the timeline.
pub(crate) fn timeline(draft: &Draft, cx: &Cx<'_>) -> Reply {
    let lines: Vec<String> = cx
        .world
        .history
        .iter()
        .filter_map(|e| narrate::history::line(&e.event, cx.roster).map(|l| format!("{}  {l}", e.at.clock())))
        .collect();
    let left = lines.len().saturating_sub(LINES);
    let mut text = lines[left..].join("\n");
    if left > 0 {
        text = format!("({left} earlier lines are in the incident's thread)\n{text}");
    }
    let title = draft.incident().map(|i| format!("Timeline of INC-{}", i.declared.number)).unwrap_or_default();
    Reply::Private(Message { notify: title.clone(), parts: vec![Part::Title(title), Part::Code(text)] })
}
