//! Shared parts of the benchmarks: a stopwatch for operations of nanoseconds, and the requests that they are measured with.
//!
//! A row is the cost of one operation: it runs in batches long enough for the clock, for about a second, and the least and the median batch
//! are printed. The least is what the operation costs when nothing interferes; if the median is far above it, something did.
//!
//! **In scope:** rows of `cargo bench`, and a run of each operation in `cargo test`, where they are not timed but must work.
//! **Out of scope:** whole servers, which `compare.py` beside this package measures from outside.

mod memory;

use std::hint::black_box;
use std::time::{Duration, Instant};

pub use memory::{Memory, link};

/// Times operations and prints a line for each. Made from the program's arguments: those that are no option choose the rows whose name
/// contains one of them.
pub struct Stopwatch {
    wanted: Vec<String>,
    /// Without `--bench`, which `cargo bench` gives and `cargo test` does not, each operation runs a few times and nothing is printed.
    timed: bool,
}

/// What one operation costs.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Nanoseconds in the least batch.
    pub least: f64,
    /// Nanoseconds in the middle one.
    pub median: f64,
}

impl Stopwatch {
    /// Prints the head of a table, whose first column is `title`.
    pub fn new(title: &str) -> Stopwatch {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let timed = arguments.iter().any(|argument| argument == "--bench");
        if timed {
            println!("\n| {title:<WIDTH$} | least ns | median ns |\n|{:-<width$}|---------:|----------:|", "", width = WIDTH + 2);
        }
        Stopwatch { wanted: arguments.into_iter().filter(|argument| !argument.starts_with('-')).collect(), timed }
    }

    /// Times an operation; `None` if its row was not asked for, or if nothing is timed.
    pub fn row(&self, name: &str, mut operation: impl FnMut()) -> Option<Cost> {
        if !self.wants(name) {
            return None;
        }
        if !self.timed {
            (0..3).for_each(|_| operation());
            return None;
        }
        let cost = time(operation);
        self.line(name, cost);
        Some(cost)
    }

    /// Prints a row that was measured in another way.
    pub fn line(&self, name: &str, cost: Cost) {
        if self.timed && self.wants(name) {
            println!("| {name:<WIDTH$} | {:>8.1} | {:>9.1} |", cost.least, cost.median);
        }
    }

    /// Whether a row of this name was asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| name.contains(wanted))
    }

    /// Whether anything is timed.
    pub fn timed(&self) -> bool {
        self.timed
    }
}

impl Cost {
    /// From single runs, timed one by one. The clock is coarse beside them, so that the mean of the undisturbed half of them stands for the
    /// least, and the mean of all but the slowest tenth for the median.
    ///
    /// # Panics
    /// Without a run.
    pub fn of(mut costs: Vec<f64>) -> Cost {
        costs.sort_by(f64::total_cmp);
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        Cost { least: mean(&costs[..costs.len().div_ceil(2)]), median: mean(&costs[..(costs.len() * 9).div_ceil(10)]) }
    }

    /// Without the cost of timing itself.
    pub fn less(self, clock: f64) -> Cost {
        Cost { least: self.least - clock, median: self.median - clock }
    }
}

fn time(mut operation: impl FnMut()) -> Cost {
    let mut batch = |count: u32| {
        let begin = Instant::now();
        for _ in 0..count {
            operation();
        }
        begin.elapsed()
    };
    // Doubling warms up as well.
    let mut count = 1;
    while batch(count) < BATCH {
        count *= 2;
    }
    let until = Instant::now() + TOTAL;
    let mut costs = Vec::new();
    while Instant::now() < until {
        costs.push(batch(count).as_nanos() as f64 / f64::from(count));
    }
    costs.sort_by(f64::total_cmp);
    Cost { least: costs[0], median: costs[costs.len() / 2] }
}

/// Keeps the compiler from knowing a value, so that work on it is not done beforehand.
pub fn unknown<T>(value: T) -> T {
    black_box(value)
}

/// A request as the load generator sends it: one field.
pub const BARE: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n";

/// A browser's request for a page: `Host` and twelve fields, as `compare.py` sends them.
pub const BROWSER: &[u8] = b"GET / HTTP/1.1\r\n\
    Host: 127.0.0.1:8000\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: http://127.0.0.1/catalogue/shoes?page=2\r\n\
    Cookie: sessionid=8hxn2vq0v6l5t1b0q9k3m7c4z2a1x5yd; csrftoken=Zq3F0b7mN1kXr9sT6uV2wY4pL8cD5eGh\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-User: ?1\r\n\
    Cache-Control: max-age=0\r\n\
    \r\n";

const WIDTH: usize = 72;
/// Long beside the resolution of the clock.
const BATCH: Duration = Duration::from_micros(500);
const TOTAL: Duration = Duration::from_millis(800);
