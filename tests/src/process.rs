//! The real `serve` program, run as a process.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::DEADLINE;

/// The `serve` program of this workspace, built when it is first asked for.
pub fn serve_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("wsgi-examples", "serve"))
}

/// Builds a program of this workspace, with the features that its package asks for and no others, and says where it is.
pub fn build(package: &str, program: &str) -> PathBuf {
    // Cargo has let go of its lock when it runs tests. The profile and the folder are this program's own, so that most is built already.
    let profile = profile_folder();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", package, "--bin", program]).current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.arg("--target-dir").arg(target_folder());
    if profile.file_name() == Some(OsStr::new("release")) {
        cargo.arg("--release");
    }
    let built = cargo.output().unwrap_or_else(|error| panic!("{cargo:?}: {error}"));
    assert!(built.status.success(), "{cargo:?}: {}", String::from_utf8_lossy(&built.stderr));
    let program = profile.join(program);
    assert!(program.exists(), "{cargo:?} made no {}", program.display());
    program
}

/// Where this build's programs are: `target/debug`, say.
fn profile_folder() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    program.ancestors().nth(2).expect("tests are in target/PROFILE/deps").to_owned()
}

/// The target folder of this build.
pub fn target_folder() -> PathBuf {
    profile_folder().parent().expect("a profile is in the target folder").to_owned()
}

/// A running program whose output is read as it comes. Dropping it kills it.
pub struct Process {
    child: Child,
    stdout: Output,
    stderr: Output,
}

/// What a program said.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Process {
    /// Starts `serve` with these arguments, in an environment without what the developer's own could change.
    pub fn serve<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Process {
        Process::start(Process::serve_command(arguments))
    }

    /// What [`serve`](Self::serve) starts, to be added to.
    pub fn serve_command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(serve_program());
        command.args(arguments).env_remove("PYTHONPATH").env_remove("PYTHONHOME").env_remove("VIRTUAL_ENV");
        for (name, _) in std::env::vars_os() {
            if ["UWSGI_", "WSGI_SERVE_"].iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
                command.env_remove(name);
            }
        }
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Starts a program.
    pub fn start(mut command: Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = Output::of(child.stdout.take().expect("a pipe"));
        let stderr = Output::of(child.stderr.take().expect("a pipe"));
        Process { child, stdout, stderr }
    }

    /// Waits for a line on either stream that contains this, and gives it; a panic with all that was said when it does not come.
    pub fn line_with(&mut self, part: &str) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            for output in [&self.stdout, &self.stderr] {
                if let Some(line) = output.text().lines().find(|line| line.contains(part)) {
                    return line.to_owned();
                }
            }
            let ended = self.child.try_wait().expect("a child");
            assert!(
                Instant::now() < end && ended.is_none(),
                "no line with {part:?} ({ended:?}); standard output: {}; standard error: {}",
                self.stdout.text(),
                self.stderr.text()
            );
            self.stderr.wait_for_more();
        }
    }

    /// Waits until so many lines contain this, whoever writes them: processes that it has started write to the same streams, also after its end.
    pub fn lines_with(&mut self, part: &str, count: usize) -> Vec<String> {
        let end = Instant::now() + DEADLINE;
        loop {
            let said = self.stderr.text();
            let lines: Vec<String> = said.lines().filter(|line| line.contains(part)).map(str::to_owned).collect();
            if lines.len() >= count {
                return lines;
            }
            assert!(Instant::now() < end, "{} lines with {part:?}, expected {count}; standard error: {said}", lines.len());
            self.stderr.wait_for_more();
        }
    }

    /// Where it listens for HTTP, once it has said so. Of several TCP addresses the first.
    pub fn address(&mut self) -> SocketAddr {
        self.address_by(LISTENING)
    }

    /// The same for HTTPS.
    pub fn https_address(&mut self) -> SocketAddr {
        self.address_by(LISTENING_HTTPS)
    }

    fn address_by(&mut self, announced: &str) -> SocketAddr {
        let line = self.line_with(announced);
        address_in(&line).unwrap_or_else(|| panic!("no address in {line:?}"))
    }

    /// The same, of a process that has already said so.
    pub fn address_again(&self) -> SocketAddr {
        self.stderr().lines().find(|line| line.contains(LISTENING)).and_then(address_in).expect("it has said where it listens")
    }

    /// What was said on standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// What was said on standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has, and all that it said.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().expect("a child")?;
        Some(format!("{status}; standard output: {}; standard error: {}", self.stdout.finished(), self.stderr.finished()))
    }

    /// Sends `SIGTERM`.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("our own child");
    }

    /// Waits until it has ended; a panic when it does not.
    pub fn wait(mut self) -> Ended {
        let end = Instant::now() + DEADLINE;
        let status = loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => break status,
                None => assert!(Instant::now() < end, "it does not end; standard error: {}", self.stderr.text()),
            }
            self.stderr.wait_for_more();
        };
        Ended { status, stdout: self.stdout.finished(), stderr: self.stderr.finished() }
    }
}

/// The same command behind the words of another, which is to start it: a shell, say, that sets a limit first.
pub fn behind(words: &[&str], command: &Command) -> Command {
    let mut whole = Command::new(words[0]);
    whole.args(&words[1..]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => whole.env(name, value),
            None => whole.env_remove(name),
        };
    }
    whole
}

/// Sends a signal to a process. A panic if there is none.
pub fn send(process: u32, signal: Signal) {
    kill_process(pid(process), signal).expect("a process that is there");
}

/// Kills a process, which may have ended.
pub fn kill(process: u32) {
    // There is no other reason why it could fail with one of our own.
    let _ = kill_process(pid(process), Signal::KILL);
}

/// Whether a process has not ended.
pub fn lives(process: u32) -> bool {
    // Of an orphan that has ended and that nobody has waited for yet, only the number is left.
    test_kill_process(pid(process)).is_ok() && state(process).is_none_or(|state| state != 'Z')
}

/// Those that a process has started, and that have not ended.
pub fn children(process: u32) -> BTreeSet<u32> {
    let text = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).filter(|child| lives(*child)).collect()
}

fn pid(process: u32) -> Pid {
    Pid::from_raw(process.try_into().expect("a process id")).expect("a process id")
}

fn state(process: u32) -> Option<char> {
    std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?.rsplit_once(") ")?.1.chars().next()
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a line begins with that says where the server listens by TCP.
const LISTENING: &str = "listening on http://";
const LISTENING_HTTPS: &str = "listening on https://";

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("://")?;
    rest.split(['/', ' ']).next()?.parse().ok()
}

/// One stream of a program, read by a thread of its own.
struct Output {
    shared: Arc<(Mutex<(String, bool)>, Condvar)>,
}

impl Output {
    fn of(stream: impl Read + Send + 'static) -> Output {
        let shared = Arc::new((Mutex::new((String::new(), false)), Condvar::new()));
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stream);
            let mut line = Vec::new();
            loop {
                line.clear();
                let read = lines.read_until(b'\n', &mut line).unwrap_or(0);
                let mut said = theirs.0.lock().expect("no panic while it is held");
                said.0.push_str(&String::from_utf8_lossy(&line));
                said.1 = read == 0;
                theirs.1.notify_all();
                if read == 0 {
                    break;
                }
            }
        });
        Output { shared }
    }

    fn text(&self) -> String {
        self.shared.0.lock().expect("no panic while it is held").0.clone()
    }

    /// Waits a little for another line, or not at all at the end of the stream: the caller looks at more than this stream.
    fn wait_for_more(&self) {
        let said = self.shared.0.lock().expect("no panic while it is held");
        drop(self.shared.1.wait_timeout(said, std::time::Duration::from_millis(10)));
    }

    /// All of it, once the stream has ended.
    fn finished(&self) -> String {
        let said = self.shared.0.lock().expect("no panic while it is held");
        let (said, _) = self.shared.1.wait_timeout_while(said, DEADLINE, |said| !said.1).expect("no panic while it is held");
        said.0.clone()
    }
}
