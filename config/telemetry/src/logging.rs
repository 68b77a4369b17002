//! The log of the process itself, on stderr.

use std::io::{self, IsTerminal, Write};

use thiserror::Error;
use tracing::Level;
use tracing_subscriber::{EnvFilter, fmt};

/// How the process logs.
#[derive(Debug, Clone, Copy)]
pub struct Logging<'a> {
    /// For our own crates; libraries are heard from `warn` on, at `trace` fully.
    pub level: Level,
    /// One JSON object a line, or text for people.
    pub json: bool,
    /// Directives that replace the level, as `tracing-subscriber` reads them:
    /// `weir_edge_fill=trace,info`. Main takes them from the environment.
    pub filter: Option<&'a str>,
}

/// Why logging cannot start.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// The directives are not understood.
    #[error("cannot read the log filter \"{filter}\"; write it like \"weir_edge_fill=debug,info\"")]
    Filter {
        /// What was given.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody was first.
    #[error("this process logs already")]
    Twice,
    /// Nobody logs any more.
    #[error("this process does not log any more")]
    Ended,
}

/// Changes how much a running process logs.
pub struct Verbosity(Box<dyn Fn(EnvFilter) -> Result<(), LoggingError> + Send + Sync>);

impl std::fmt::Debug for Verbosity {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Verbosity")
    }
}

impl Verbosity {
    /// From here on as [`init`] would with that level and filter.
    ///
    /// # Errors
    /// When the filter is not understood, or logging has ended.
    pub fn set(&self, level: Level, given: Option<&str>) -> Result<(), LoggingError> {
        (self.0)(filter(Logging { level, json: false, filter: given })?)
    }
}

/// Starts logging for the whole process, once.
///
/// # Errors
/// When the filter is not understood, or the process logs already.
pub fn init(logging: Logging<'_>) -> Result<Verbosity, LoggingError> {
    // A log that cannot be written (its file system is full) is no reason to panic: said about
    // itself, it would go to the same place.
    let builder = fmt().log_internal_errors(false);
    let builder = builder.with_env_filter(filter(logging)?).with_writer(io::stderr);
    if logging.json {
        // Fields at the top, so that a log shipper needs no path into them.
        let builder = builder.json().flatten_event(true).with_current_span(false);
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        builder.try_init().map_err(|_| LoggingError::Twice)?;
        return Ok(Verbosity(Box::new(move |filter| {
            handle.reload(filter).map_err(|_| LoggingError::Ended)
        })));
    }
    let builder = builder.with_ansi(io::stderr().is_terminal()).with_filter_reloading();
    let handle = builder.reload_handle();
    builder.try_init().map_err(|_| LoggingError::Twice)?;
    Ok(Verbosity(Box::new(move |filter| handle.reload(filter).map_err(|_| LoggingError::Ended))))
}

/// Tells a person at the terminal. Unlike `eprintln!` it never panics, whatever has become of
/// standard error.
pub fn tell(what: impl std::fmt::Display) {
    let _nowhere_else_to_say_so = writeln!(io::stderr(), "{what}");
}

fn filter(logging: Logging<'_>) -> Result<EnvFilter, LoggingError> {
    let own = logging.level;
    // Levels order from error, the least, to trace.
    let others = if own == Level::TRACE { own } else { own.min(Level::WARN) };
    let default = format!("{others},weir={own}");
    let directives = logging.filter.unwrap_or(&default);
    EnvFilter::try_new(directives)
        .map_err(|source| LoggingError::Filter { filter: directives.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::{Logging, filter};

    #[test]
    fn levels() {
        let check = |level, given: Option<&str>, expected: &str| {
            let logging = Logging { level, json: true, filter: given };
            assert_eq!(filter(logging).unwrap().to_string(), expected);
        };
        check(Level::ERROR, None, "weir=error,error");
        check(Level::INFO, None, "weir=info,warn");
        check(Level::DEBUG, None, "weir=debug,warn");
        check(Level::TRACE, None, "weir=trace,trace");
        check(Level::INFO, Some("h2=debug,info"), "h2=debug,info");
    }

    #[test]
    fn a_bad_filter_is_named() {
        let logging = Logging { level: Level::INFO, json: true, filter: Some("weir=loud") };
        let error = filter(logging).unwrap_err().to_string();
        assert!(error.contains("weir=loud"), "{error}");
    }
}
