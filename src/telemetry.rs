//! Logs. Takes a filter; writes one JSON object a line to standard error, control characters escaped.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging. A second call in one process is ignored.
///
/// # Errors
/// The filter is not of the form `info,sqlx=warn`.
pub fn start(filter: &str) -> Result<(), String> {
    let targets: Targets =
        filter.parse().map_err(|e| format!("log.filter `{filter}`: {e}: write something like info,sqlx=warn"))?;
    let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
    // Only tests call it twice, and they want the first one to stay.
    let _ = tracing_subscriber::registry().with(targets).with(layer).try_init();
    Ok(())
}
