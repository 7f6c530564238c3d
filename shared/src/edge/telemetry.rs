//! The function's own log: one JSON object a line on standard error, which Lambda carries to CloudWatch.
//!
//! What is logged never holds secrets, tokens, bodies or e-mail addresses. Libraries that could log them are held at warnings, whatever
//! the filter asks for.

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, ParseError, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use super::environment;
use crate::flow::alarm;

/// Libraries that log requests and replies below the level of a warning.
const TALKATIVE: [&str; 12] = [
    "aws_",
    "h2",
    "hyper",
    "hyper_util",
    "lambda_http",
    "lambda_runtime",
    "lambda_runtime_api_client",
    "reqwest",
    "rustls",
    "tower",
    "want",
    "mio",
];

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter makes no sense.
    #[error("TANDEM_LOG is no tracing filter, such as info or tandem=debug,info")]
    Filter(#[from] ParseError),
    /// It was started before.
    #[error("logging was started before")]
    Started(#[from] TryInitError),
}

/// Starts logging, as `TANDEM_LOG` says.
///
/// # Errors
/// When the filter makes no sense, or logging was started before.
pub fn start() -> Result<(), Error> {
    let filter = environment::log_filter().unwrap_or_default();
    subscriber(&filter, std::io::stderr)?.try_init()?;
    Ok(())
}

/// What writes the lines of a log, as a filter says.
///
/// # Errors
/// When the filter makes no sense.
pub fn subscriber<Writer>(
    filter: &str,
    writer: Writer,
) -> Result<impl Subscriber + Send + Sync, ParseError>
where
    Writer: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let wanted = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(filter)?;
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(writer)
        .with_filter(wanted.or(filter_fn(is_alarm)).and(filter_fn(may_be_logged)));
    Ok(registry().with(lines))
}

/// What an alarm counts must not depend on how much somebody wants to read.
fn is_alarm(metadata: &Metadata<'_>) -> bool {
    metadata.target() == alarm::TARGET
}

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    // Spans only say where a line belongs; the runtime's carries the request id.
    metadata.is_span() || !is_talkative(metadata.target()) || *metadata.level() <= Level::WARN
}

fn is_talkative(target: &str) -> bool {
    let library = target.split("::").next().unwrap_or_default();
    TALKATIVE.iter().any(|talkative| {
        library == *talkative || (talkative.ends_with('_') && library.starts_with(talkative))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, log: impl FnOnce()) -> Vec<serde_json::Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(filter, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_is_json_with_its_fields_and_its_span() {
        let lines = logged("", || {
            let _span = tracing::info_span!("message", connection.id = "acme").entered();
            tracing::info!(object = "task", "pulled");
            tracing::debug!("not wanted");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["message"], "pulled");
        assert_eq!(lines[0]["object"], "task");
        assert_eq!(lines[0]["span"]["connection.id"], "acme");
    }

    #[test]
    fn what_an_alarm_counts_is_logged_whatever_is_asked_for() {
        for filter in [
            "",
            "error",
            "off",
            "tandem=off",
            "other=debug,tandem::flow=off",
        ] {
            let lines = logged(filter, || {
                alarm::edit_parked(
                    &"acme".parse().unwrap(),
                    crate::object::Object::Task,
                    "LOCKED",
                );
                tracing::info!(target: "another", "not wanted where it says so");
            });
            let alarms: Vec<_> = lines
                .iter()
                .filter(|line| line["alarm"].is_string())
                .collect();
            assert_eq!(alarms.len(), 1, "{filter}");
            assert_eq!(alarms[0]["connection.id"], "acme");
            assert_eq!(lines.len() == 2, filter.is_empty(), "{filter}");
        }
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_said() {
        assert!(subscriber("tandem=loud", std::io::sink).is_err());
    }

    #[test]
    fn talkative_libraries_are_held_at_warnings_whatever_is_asked_for() {
        for filter in ["trace", "trace,aws_smithy_runtime=trace,hyper=trace"] {
            let lines = logged(filter, || {
                tracing::trace!(target: "aws_smithy_runtime::client::http", "a body");
                tracing::debug!(target: "hyper::proto", "a header");
                tracing::info!(target: "aws_config", "a profile");
                tracing::warn!(target: "aws_config", "a warning");
                tracing::debug!(target: "tandem::flow", "ours");
            });
            let said = lines
                .iter()
                .map(|line| line["message"].as_str().unwrap())
                .collect::<Vec<_>>();
            assert_eq!(said, ["a warning", "ours"]);
        }
    }
}
