//! Several processes behind the same sockets: a master that keeps workers alive, replaces them without a gap, and hands over to the next master.
//!
//! ```text
//!                    ┌─ order: stop, hurry, reopen logs ─▶ worker 1 ─┐
//!  signals ─▶ master ┤        (a socket pair each)         worker 2  ├─ accept from the same sockets
//!   sockets  │       └◀ ready, renew me, reload, reports ─ worker N ─┘
//!            └─ sockets and names ─▶ the next master (USR2), which is the same program, or a newer one
//! ```
//!
//! Every process is this program, started anew with the same arguments: nothing is forked that has threads or a Python in it. What it is to be
//! it asks first of all, [`Role::of_this_process`]; a worker gets the listening sockets over the pair, by name, and says when it is ready.
//! A worker that is to be replaced goes when its successor is ready, and leaves the connections that wait in the sockets to the others, so that
//! no request is lost. When the master dies, its workers see the pair close, and end in order.
//!
//! | signal to the master | what happens |
//! |---|---|
//! | `TERM`, `INT` | all workers end gracefully, after [`Master::shutdown_delay`]; a second one hurries them, a third kills them |
//! | `QUIT` | as `TERM` twice |
//! | `HUP` | each worker is replaced by a new one, one after the other; if the first new one fails, the old ones stay |
//! | `USR2` | the program is started anew with the sockets; when it is ready this one ends, and if it fails this one goes on |
//! | `USR1` | every process is told to open its logs anew |
//!
//! **In scope:** starting, watching, replacing and ending processes, signals, systemd's readiness and watchdog, the PID file, the user to run as.
//! **Out of scope:** what workers serve, and how ([`server`](crate::server) does it, any other server can). No Python is known here. Linux only.
//!
//! ```no_run
//! use wsgi_core::processes::{Ended, Master, Named, Order, Role};
//! use wsgi_core::server::{Listener, Server};
//! # fn my_codec(_: &wsgi_core::wire::Link) -> Box<dyn wsgi_core::wire::Protocol> { unimplemented!() }
//! # struct Hello;
//! # impl wsgi_core::Handler for Hello { fn handle(&self, _: &mut dyn wsgi_core::Exchange) {} }
//!
//! // First of all, before there are threads: what is this process to be?
//! match Role::of_this_process()? {
//!     Role::Worker(worker) => {
//!         let mut server = Server::new(worker.limited(Hello)).multiprocess(true).give_way(worker.shares());
//!         for Named { listener, .. } in worker.sockets() {
//!             server = server.listen(listener, my_codec);
//!         }
//!         let running = server.start()?;
//!         worker.ready()?;
//!         let handle = running.handle();
//!         std::thread::spawn(move || loop {
//!             match worker.order() {
//!                 Order::Stop { drain: false } => handle.hand_over(),
//!                 Order::Stop { drain: true } | Order::Orphaned => return handle.shutdown(),
//!                 Order::Announce => handle.announce(),
//!                 Order::Hurry => handle.hurry(),
//!                 Order::ReopenLogs => {}
//!             }
//!         });
//!         running.wait();
//!     }
//!     Role::First => {
//!         let listener = Listener::bind(&"127.0.0.1:8000".parse()?)?;
//!         let socket = Named { name: "http".to_owned(), listener };
//!         if let Ended::NotStarted(status) = Master::new(vec![socket])?.processes(4).run()? {
//!             eprintln!("no worker could be started: {status}");
//!         }
//!     }
//!     Role::Successor(before) => {
//!         let sockets = before.sockets();
//!         Master::new(sockets)?.succeed(before).processes(4).run()?;
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod channel;
mod crew;
mod identity;
mod limited;
mod master;
mod pid_file;
mod shares;
mod signals;
mod spawn;
pub mod systemd;
mod touch;
mod worker;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use self::channel::{Channel, Message, Received};
pub use self::identity::{Identity, IdentityError};
pub use self::limited::Limited;
pub use self::master::{Ended, Master};
pub use self::pid_file::{PidFile, PidFileError};
use self::shares::Shares;
pub use self::touch::Touched;
pub use self::worker::{Order, Worker};
use crate::server::Listener;

/// What this process was started as.
#[derive(Debug)]
pub enum Role {
    /// By a user, a shell, a service manager.
    First,
    /// By a master, to serve.
    Worker(Worker),
    /// By a master that is to be replaced.
    Successor(Predecessor),
}

/// A listening socket, and the name by which the other process knows what it is for: its address, say.
#[derive(Debug)]
pub struct Named {
    /// Any text without a NUL.
    pub name: String,
    /// The socket.
    pub listener: Listener,
}

/// The master that this one is to replace. Until the new one is ready, the old one serves.
#[derive(Debug)]
pub struct Predecessor {
    channel: Channel,
    sockets: Mutex<Vec<Named>>,
    process: u32,
}

impl Role {
    /// Finds out what this process is to be. Call it once, at the start of `main`, before there are other threads: a process that a master
    /// started finds its end of the pair as its standard input, which is put right here.
    ///
    /// # Errors
    /// Whoever started this process has died meanwhile; the system does not let us.
    pub fn of_this_process() -> io::Result<Role> {
        let Some(role) = std::env::var_os(spawn::ROLE) else { return Ok(Role::First) };
        // A program that an application starts has the variable too, but not the socket.
        let Some(channel) = Channel::of_standard_input()? else { return Ok(Role::First) };
        let welcome = match channel.receive(true)? {
            Received::Message(message) => message,
            Received::Nothing | Received::End => {
                return Err(io::Error::new(
                    io::ErrorKind::BrokenPipe,
                    "the process that started this one has ended before it said what to do",
                ));
            }
        };
        let Welcome { number, max_requests, shares, input, mut sockets } = Welcome::read(welcome)?;
        match input {
            Some(input) => rustix::stdio::dup2_stdin(input)?,
            None => rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?,
        }
        Ok(if role == spawn::SUCCESSOR {
            let process = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
            Role::Successor(Predecessor { channel, sockets: Mutex::new(sockets), process })
        } else {
            // Whether there will be others who serve them, only the master knows.
            sockets = sockets.into_iter().map(|Named { name, listener }| Named { name, listener: listener.with_bound(false) }).collect();
            Role::Worker(Worker::new(channel, number, max_requests, shares, sockets)?)
        })
    }
}

impl Predecessor {
    /// The sockets that it listens on, with their names. They are given once; those that are dropped are closed here, and the old master keeps
    /// its own until it ends.
    pub fn sockets(&self) -> Vec<Named> {
        std::mem::take(&mut self.sockets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Its process id.
    pub fn process(&self) -> u32 {
        self.process
    }
}

/// The first message to a process: who it is, and what it works with.
struct Welcome {
    number: u32,
    max_requests: Option<u64>,
    shares: Shares,
    input: Option<OwnedFd>,
    sockets: Vec<Named>,
}

impl Welcome {
    /// Sends one. `input`: what the process is to have as its standard input; `/dev/null` without.
    fn send(
        channel: &Channel,
        number: u32,
        max_requests: Option<u64>,
        shares: &Shares,
        terminal: bool,
        sockets: &[Named],
    ) -> io::Result<()> {
        use std::os::fd::AsFd;
        let (number, max_requests) = (number.to_string(), max_requests.unwrap_or(0).to_string());
        let mut words = vec![number.as_bytes(), max_requests.as_bytes(), if terminal { b"terminal" } else { b"nothing" }];
        let input = rustix::stdio::stdin();
        let mut descriptors = vec![shares.as_fd()];
        descriptors.extend(Some(input).filter(|_| terminal));
        for Named { name, listener } in sockets {
            words.extend([if listener.is_bound() { BOUND } else { GIVEN }, name.as_bytes()]);
            descriptors.push(listener.as_fd());
        }
        channel.send(&words, &descriptors)
    }

    fn read(message: Message) -> io::Result<Welcome> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the process that started this one {what}"));
        let mut words = message.words.into_iter().map(|word| String::from_utf8_lossy(&word).into_owned());
        let mut descriptors = message.descriptors.into_iter();
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).ok_or_else(|| wrong("has sent no number"));
        let (worker, max_requests) = (number()?, number()?);
        let shares = Shares::adopt(descriptors.next().ok_or_else(|| wrong("has sent no table of shares"))?)?;
        let input = if words.next().as_deref() == Some("terminal") { descriptors.next() } else { None };
        let names: Vec<String> = words.collect();
        let names: Vec<(bool, &String)> = names.chunks_exact(2).map(|words| (words[0].as_bytes() == BOUND, &words[1])).collect();
        if names.len() != descriptors.len() {
            return Err(wrong(&format!("has sent {} sockets, expected {}", descriptors.len(), names.len())));
        }
        let sockets = names.into_iter().zip(descriptors).map(|((bound, name), socket)| {
            Listener::adopt(socket).map(|listener| Named { name: name.clone(), listener: listener.with_bound(bound) })
        });
        Ok(Welcome {
            number: u32::try_from(worker).map_err(|_| wrong("has sent no number"))?,
            max_requests: Some(max_requests).filter(|requests| *requests > 0),
            shares,
            input,
            sockets: sockets.collect::<io::Result<_>>()?,
        })
    }
}

// What is said of each socket: who has bound it.
const BOUND: &[u8] = b"bound";
const GIVEN: &[u8] = b"given";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_welcome_is_read_as_it_was_sent() {
        let (ours, theirs) = Channel::pair().unwrap();
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_address().clone();
        Welcome::send(&ours, 3, Some(500), &Shares::new(4).unwrap(), false, &[Named { name: "http 127.0.0.1:0".to_owned(), listener }])
            .unwrap();
        let mut text = [0; 100];
        let length = rustix::net::recv(&theirs, &mut text[..], rustix::net::RecvFlags::PEEK).unwrap().0;
        assert_eq!(&text[..length], b"3\x00500\0nothing\0bound\0http 127.0.0.1:0");
        let received = Channel::from(theirs).receive(false).unwrap();
        let Received::Message(message) = received else { panic!("{received:?}") };
        let welcome = Welcome::read(message).unwrap();
        assert_eq!((welcome.number, welcome.max_requests, welcome.input.is_some()), (3, Some(500), false));
        assert_eq!(welcome.sockets.len(), 1);
        assert!(welcome.sockets[0].listener.is_bound());
        assert_eq!((welcome.sockets[0].name.as_str(), welcome.sockets[0].listener.local_address()), ("http 127.0.0.1:0", &address));
    }

    #[test]
    fn a_welcome_that_lacks_something_is_told() {
        for (words, sentence) in [
            (&[&b"x"[..]][..], "the process that started this one has sent no number"),
            (&[b"1"], "the process that started this one has sent no number"),
            (&[b"1", b"0", b"nothing", b"a", b"b"], "the process that started this one has sent no table of shares"),
        ] {
            let message = Message { words: words.iter().map(|word| word.to_vec()).collect(), descriptors: Vec::new() };
            assert_eq!(Welcome::read(message).err().map(|error| error.to_string()).as_deref(), Some(sentence));
        }
    }
}
