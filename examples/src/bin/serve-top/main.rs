//! A live view of a server's figures, as `uwsgitop` is for uWSGI: reads the address that was given to `serve --stats`.
//!
//! ```text
//! serve-top 127.0.0.1:9191             anew every second, until Ctrl-C
//! serve-top --once /run/site/stats     once, for scripts
//! ```

mod figures;
mod view;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use figures::Figures;

fn main() -> ExitCode {
    let asked = match parse(std::env::args_os().skip(1)) {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            // Whoever reads it may have had enough.
            let _ = io::stdout().write_all(HELP.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(sentence) => return fail(&sentence, 2),
    };
    match if asked.once { once(&asked) } else { watch(&asked) } {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => fail(&sentence, 1),
    }
}

struct Asked {
    address: String,
    once: bool,
    every: Duration,
}

/// What the command line asks for; `None` if for help.
fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Asked>, String> {
    use lexopt::{Arg, ValueExt as _};
    let (mut address, mut once, mut every) = (None, false, 1.0);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Arg::Long("once") => once = true,
            Arg::Long("every") => {
                every = parser.value().and_then(|value| value.parse()).map_err(|error| format!("--every: {error}"))?;
                if !(0.1..=3600.0).contains(&every) {
                    return Err(format!("--every {every}: expected seconds from 0.1 to 3600"));
                }
            }
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Value(value) if address.is_none() => address = Some(value.string().map_err(|error| error.to_string())?),
            other => return Err(other.unexpected().to_string()),
        }
    }
    let address = address.ok_or("expected the address that was given to serve --stats: serve-top ADDR")?;
    Ok(Some(Asked { address, once, every: Duration::from_secs_f64(every) }))
}

/// Shows what there is since the server's start.
fn once(asked: &Asked) -> Result<(), String> {
    let figures = Figures::ask(&asked.address)?;
    let _ = io::stdout().write_all(view::render(&asked.address, &figures, None).as_bytes());
    Ok(())
}

/// Shows what there is again and again, on a screen of its own.
fn watch(asked: &Asked) -> Result<(), String> {
    // Before anything is drawn, so that a wrong address is a sentence.
    let mut last = Figures::ask(&asked.address)?;
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| error.to_string())?;
    let mut screen = Screen::begin();
    let mut shown = view::render(&asked.address, &last, None);
    loop {
        screen.draw(&shown).map_err(|error| error.to_string())?;
        let until = Instant::now() + asked.every;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            std::thread::sleep(left.min(Duration::from_millis(50)));
            if signals.pending().next().is_some() {
                return Ok(());
            }
        }
        match Figures::ask(&asked.address) {
            Ok(figures) => {
                shown = view::render(&asked.address, &figures, Some(&last));
                last = figures;
            }
            // It may be on its way back: the last figures stay, and the reason is told below.
            Err(sentence) => shown = format!("{}\n{sentence}\n", view::render(&asked.address, &last, None)),
        }
    }
}

/// The terminal's other screen, until it is dropped.
struct Screen;

impl Screen {
    fn begin() -> Screen {
        let _ = io::stdout().write_all(b"\x1b[?1049h\x1b[?25l\x1b[2J");
        Screen
    }

    /// Draws over what was there, without a moment of nothing. Longer lines and further ones than there is room for are left out.
    fn draw(&mut self, text: &str) -> io::Result<()> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
        let (rows, columns) = size.map_or((usize::MAX, usize::MAX), |size| (size.ws_row.into(), size.ws_col.into()));
        let lines = text.lines().take(rows).map(|line| line.chars().take(columns).collect::<String>());
        let drawn: Vec<String> = lines.map(|line| format!("{line}\x1b[K")).collect();
        let mut out = io::stdout().lock();
        write!(out, "\x1b[H{}\x1b[J", drawn.join("\r\n"))?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = io::stdout().write_all(b"\x1b[?25h\x1b[?1049l");
        let _ = io::stdout().flush();
    }
}

fn fail(sentence: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "serve-top: {sentence}");
    ExitCode::from(code)
}

const HELP: &str = "\
Shows the figures of a server that was started with serve --stats ADDR.

Usage: serve-top [OPTIONS] ADDR

  ADDR               HOST:PORT, :PORT, or the path of a Unix socket
      --once         Show them once and end: rates and times are those since the server's start
      --every SECS   Ask so often, every second if it is not given
  -h, --help         Show this
";
