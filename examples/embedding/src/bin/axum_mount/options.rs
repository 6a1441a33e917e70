//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;

/// What may be set.
pub(crate) struct Options {
    /// Where to listen, as `host:port`.
    pub(crate) listen: String,
    /// The folder of the Django project.
    pub(crate) site: PathBuf,
    /// The virtualenv, absolute; without it, the one that is active.
    pub(crate) home: Option<PathBuf>,
    /// The folder of the database and the static files: `$SITE_DATA`, as the site's settings have it.
    pub(crate) data: PathBuf,
    /// The file with the tokens.
    pub(crate) tokens: Option<PathBuf>,
    /// How many requests may be inside Django at once.
    pub(crate) threads: usize,
}

impl Options {
    /// # Errors
    /// An option that does not exist, or has no good value.
    pub(crate) fn parse() -> Result<Options, lexopt::Error> {
        let site = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/site"));
        let (mut listen, mut home, mut tokens, mut threads) = ("127.0.0.1:8000".to_owned(), None, None, 8);
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("listen") => listen = arguments.value()?.string()?,
                // Absolute, as Python is started in the folder of the site, and would count from there.
                Long("home") => home = Some(std::path::absolute(arguments.value()?).map_err(|error| format!("--home: {error}"))?),
                Long("tokens") => tokens = Some(arguments.value()?.into()),
                Long("threads") => threads = arguments.value()?.parse()?,
                _ => return Err(argument.unexpected()),
            }
        }
        let data = std::env::var_os("SITE_DATA").map_or_else(|| site.join("data"), PathBuf::from);
        Ok(Options { listen, site, home, data, tokens, threads })
    }
}
