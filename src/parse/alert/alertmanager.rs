//! Prometheus Alertmanager's webhook, version 4. Takes its JSON; gives the group and the key under which a
//! repeat of the same delivery is recognised. Unknown fields are ignored, as its documentation asks.

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::model::alert::{Alert, AlertGroup, Arrived};
use crate::model::time::Millis;
use crate::verify::Verified;

/// The name of this source in runbooks.
const SOURCE: &str = "alertmanager";
/// Most alerts read from one delivery.
const MOST: usize = 1_000;
/// Most characters kept of a name or summary.
const KEPT: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    version: String,
    group_key: String,
    status: String,
    #[serde(default)]
    truncated_alerts: u64,
    #[serde(default)]
    group_labels: BTreeMap<String, String>,
    #[serde(default)]
    common_labels: BTreeMap<String, String>,
    alerts: Vec<One>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct One {
    status: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: String,
    #[serde(default)]
    ends_at: String,
    fingerprint: String,
}

/// Reads a delivery: its dedupe key (group, status, and each alert's fingerprint, start and status) and the
/// group.
///
/// # Errors
/// Says which part is not as Alertmanager documents it.
pub fn read(verified: &Verified) -> Result<(String, AlertGroup), String> {
    let hook: Webhook =
        serde_json::from_slice(verified.body()).map_err(|e| format!("not an Alertmanager delivery: {e}"))?;
    if hook.version != "4" {
        return Err(format!(
            "Alertmanager webhook version `{}`: version 4 is read; is a payload template in use?",
            brief(&hook.version)
        ));
    }
    if hook.group_key.is_empty() || hook.alerts.is_empty() {
        return Err("`groupKey` and `alerts` must not be empty".into());
    }
    if hook.alerts.len() > MOST {
        return Err(format!("{} alerts in one delivery: at most {MOST} are read; set max_alerts", hook.alerts.len()));
    }
    firing(&hook.status)?;
    let mut parts: Vec<(&str, &str, &str)> =
        hook.alerts.iter().map(|a| (a.fingerprint.as_str(), a.starts_at.as_str(), a.status.as_str())).collect();
    parts.sort_unstable();
    let said = serde_json::to_vec(&(&hook.group_key, &hook.status, parts)).map_err(|e| e.to_string())?;
    let name = hook.group_labels.get("alertname").or_else(|| hook.common_labels.get("alertname"));
    let title = brief(name.filter(|n| !n.trim().is_empty()).unwrap_or(&hook.group_key));
    let alerts = hook.alerts.into_iter().map(One::alert).collect::<Result<Vec<_>, _>>()?;
    let group =
        AlertGroup { source: SOURCE.into(), key: hook.group_key, title, alerts, truncated: hook.truncated_alerts };
    Ok((hex::encode(Sha256::digest(said)), group))
}

impl One {
    fn alert(self) -> Result<Arrived, String> {
        let firing = firing(&self.status)?;
        if self.fingerprint.is_empty() {
            return Err("an alert has no `fingerprint`".into());
        }
        let starts =
            time(&self.starts_at).ok_or_else(|| format!("startsAt `{}` is not a time", brief(&self.starts_at)))?;
        let said = |from: &BTreeMap<String, String>, k: &str| from.get(k).filter(|t| !t.trim().is_empty()).cloned();
        let summary = said(&self.annotations, "summary")
            .or_else(|| said(&self.annotations, "description"))
            .or_else(|| said(&self.labels, "instance"))
            .unwrap_or_else(|| self.fingerprint.clone());
        // A firing alert carries a zero or future end, which says nothing.
        let ends = if firing { None } else { time(&self.ends_at) };
        let alert = Alert {
            fingerprint: self.fingerprint.chars().take(64).collect(),
            firing,
            summary: brief(&summary),
            starts,
            ends,
        };
        Ok(Arrived { alert, labels: self.labels })
    }
}

fn firing(status: &str) -> Result<bool, String> {
    match status {
        "firing" => Ok(true),
        "resolved" => Ok(false),
        other => Err(format!("status `{}` is neither firing nor resolved", brief(other))),
    }
}

/// A time after 1970; the zero time of Go's is none.
fn time(text: &str) -> Option<Millis> {
    text.parse::<jiff::Timestamp>().ok().map(|t| Millis(t.as_millisecond())).filter(|t| t.0 > 0)
}

/// One line of bounded length, which says so when it was cut.
fn brief(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(KEPT) {
        Some((at, _)) => format!("{}... (cut)", &line[..at]),
        None => line,
    }
}
