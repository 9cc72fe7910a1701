//! Runbooks with a private channel of their own. Takes a runbook or an incident and the place where somebody
//! speaks; gives the answer that sends people there. Nothing about it is said or shown anywhere else.

use super::Cx;
use crate::model::catalog::Loaded;
use crate::model::command::{Asked, Command};
use crate::model::inbound::Place;
use crate::model::incident::Incident;

/// Why this runbook is not worked here: it has a channel of its own, and this is another.
pub(super) fn sent_away(cx: &Cx<'_>, loaded: &Loaded, here: &str) -> Option<String> {
    let name = &loaded.runbook.runbook;
    cx.world.rules.elsewhere(name, here)?;
    Some(format!(
        "`{name}` is worked in its private channel only; nothing was posted here. Type the same there. \
         If you cannot see that channel, ask one of its members by telephone to invite you."
    ))
}

/// Why this command is not followed here, if it is about such a runbook or an incident of such a channel. What
/// names an approval's id is followed anywhere: the id stands in that channel only, and comparing it is the way
/// round a channel that somebody else may read.
pub(super) fn refused(cx: &Cx<'_>, asked: &Asked, incident: Option<&Incident>, place: &Place) -> Option<String> {
    let named = match &asked.command {
        Command::Approve { .. } | Command::Deny { .. } | Command::Verify { .. } | Command::Withdraw { .. } => {
            return None;
        }
        Command::Declare { title } => Some(title),
        Command::Run { runbook, .. } | Command::Plan { runbook, .. } => Some(runbook),
        Command::Detect { runbook } => runbook.as_ref(),
        _ => None,
    };
    if let Some(why) = named.and_then(|n| cx.catalog.find(n)).and_then(|l| sent_away(cx, l, &place.channel)) {
        return Some(why);
    }
    let hidden = cx.world.rules.hides(&incident?.declared.channel, &place.channel);
    hidden.then(|| "That incident is worked in a private channel; type this there.".into())
}
