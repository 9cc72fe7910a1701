//! The demonstration's monitoring: what Alertmanager would deliver when the panel breaks or heals the
//! database. Takes whether something fires; sends one delivery to the bot, as Alertmanager words it.

use anyhow::{Result, bail};
use jiff::Timestamp;
use serde_json::json;
use url::Url;

use crate::clock;
use crate::model::time::{Millis, Span};

/// What the bot's configuration says about alerts; the channel exists in the demonstration only.
pub(super) const CHANNEL: (&str, &str) = ("C03ALT", "alerts");
const TOKEN: &str = "the-demonstration-s-own-token";
const NAME: &str = "PostgresSlow";

/// The lines of the configuration that let alerts in.
#[must_use]
pub(super) fn config() -> String {
    format!("alerts:\n  channel: {}\n  incident_channel: C01INC\n  alertmanager: {{ bearer: [{TOKEN}] }}\n", CHANNEL.0)
}

/// How long the rule must hold before it fires: longer than what counts as a long statement here.
const FOR: Span = Span::seconds(5);

/// One alert rule and whether it fires.
pub(super) struct Monitor {
    url: Url,
    http: reqwest::Client,
    /// Since when the rule holds.
    holds: Option<Millis>,
    since: Option<Millis>,
}

impl Monitor {
    /// Delivers to this address.
    ///
    /// # Errors
    /// No client can be made.
    pub(super) fn new(url: Url) -> Result<Monitor> {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
        Ok(Monitor { url, http, holds: None, since: None })
    }

    /// Says that the rule fires now, or no longer; nothing if that is known already.
    ///
    /// # Errors
    /// The bot does not take the delivery.
    pub(super) async fn tell(&mut self, slow: bool) -> Result<()> {
        let now = clock::now();
        self.holds = slow.then(|| self.holds.unwrap_or(now));
        let fires = self.holds.is_some_and(|since| now.since(since) >= FOR);
        if self.since.is_some() == fires {
            return Ok(());
        }
        let since = self.since.unwrap_or(now);
        let at = |t: Millis| Timestamp::from_millisecond(t.0).map(|t| t.to_string()).unwrap_or_default();
        let (status, ends) = if fires { ("firing", "0001-01-01T00:00:00Z".to_owned()) } else { ("resolved", at(now)) };
        let labels = json!({"alertname": NAME, "severity": "critical", "service": "booking"});
        let delivery = json!({
            "version": "4", "receiver": "drbot", "status": status, "truncatedAlerts": 0,
            "groupKey": format!("{{}}:{{alertname=\"{NAME}\"}}"), "groupLabels": {"alertname": NAME},
            "commonLabels": labels, "commonAnnotations": {}, "externalURL": "http://127.0.0.1/",
            "alerts": [{
                "status": status, "labels": labels, "fingerprint": "5d0f1c2b3a495867",
                "annotations": {"summary": "Bookings take longer than 2 s"},
                "startsAt": at(since), "endsAt": ends, "generatorURL": "",
            }],
        });
        let sent = self.http.post(self.url.clone()).bearer_auth(TOKEN).json(&delivery).send().await?;
        if !sent.status().is_success() {
            bail!("drbot answered {} to the alert", sent.status());
        }
        self.since = fires.then_some(since);
        Ok(())
    }
}
