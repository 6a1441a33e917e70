//! The control thread: deadlines, listeners that had to pause, and the order of a shutdown.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::IDLE_GRACE;
use super::connection::{Connection, State};
use super::shared::{GIVE_WAY, STOPPING, Shared};
use crate::clock::{self, NEVER};
use crate::listening::HALF_WAY;
use crate::wire::{Error, HttpDate};

/// Looks after the engine until it is done.
pub(super) fn run(shared: &Arc<Shared>) {
    let mut watches: Vec<_> = shared.listeners.iter().map(|_| Default::default()).collect();
    let mut sweep_at = Instant::now();
    let mut look_at = sweep_at + LISTENERS;
    let mut turned_away = false;
    while !shared.stopping() {
        let delay = shared.delay();
        if delay.is_some_and(|delay| delay.is_zero()) {
            if !turned_away && shared.turn_away() {
                turned_away = true;
                shared.put_off(HALF_WAY);
            } else {
                shared.advance(STOPPING);
            }
            continue;
        }
        if shared.giving_way.swap(false, Ordering::SeqCst) {
            std::thread::sleep(GIVE_WAY);
            shared.resume_listeners();
        }
        // Whoever wakes this thread must not keep it from what else it is for.
        if sweep_at <= Instant::now() {
            expire(shared);
            shared.traffic[shared.threads].publish();
            shared.resume_listeners();
            sweep_at = Instant::now() + tick(shared);
        }
        if look_at <= Instant::now() {
            shared.look_after_listeners(&mut watches);
            look_at = Instant::now() + LISTENERS;
        }
        let next = sweep_at.min(look_at).saturating_duration_since(Instant::now());
        shared.rest(delay.unwrap_or(Duration::MAX).min(next));
    }
    shut_down(shared);
}

/// How often deadlines are looked at: often enough for the shortest of them.
fn tick(shared: &Shared) -> Duration {
    let timeouts = &shared.timeouts;
    let shortest = timeouts.head.min(timeouts.idle).min(timeouts.body).min(timeouts.write);
    (shortest / 8).clamp(Duration::from_millis(10), Duration::from_millis(250))
}

/// Ends every connection whose time is up.
fn expire(shared: &Shared) {
    let now = clock::now();
    for index in shared.slots.indexes() {
        let slot = shared.slots.slot(index);
        if slot.deadline() > now {
            continue;
        }
        let seen = slot.try_expire(now, |place| {
            if let Some(connection) = place.as_deref_mut() {
                // A request came while every worker was busy: to close now would destroy it.
                if matches!(connection.state, State::Reading) && connection.head_deadline.is_none() && connection.socket.has_input() {
                    return clock::deadline(IDLE_GRACE);
                }
                end(shared, connection);
                *place = None;
                shared.slots.release(index);
            }
            NEVER
        });
        if !seen {
            continue;
        }
        // A worker that came in vain while we looked is to come again.
        if slot.is_pending() {
            shared.call_again(index);
        }
    }
}

/// Says farewell to a connection whose time is up, as far as that needs no waiting.
fn end(shared: &Shared, connection: &mut Connection) {
    let timeouts = &shared.timeouts;
    let error = match &connection.state {
        State::Reading if connection.head_deadline.is_some() => Error::Timeout { what: "head", seconds: timeouts.head.as_secs() },
        State::Body(_) => Error::Timeout { what: "body", seconds: timeouts.body.as_secs() },
        State::Sending { .. } | State::Writing { .. } => {
            tracing::info!(target: "wsgi", remote = %connection.remote(), "peer took longer than {:?} to take its reply", timeouts.write);
            connection.socket.reset_on_close();
            return;
        }
        State::Reading => {
            let mut output = Vec::new();
            connection.protocol.farewell(&mut output);
            // Most protocols have no word for it.
            if !output.is_empty() {
                let _ = connection.socket.send(&output);
            }
            return;
        }
        State::Lingering { .. } => return,
    };
    shared.refused(connection.remote(), &error);
    let mut date = HttpDate::from_unix(0);
    clock::refresh(&mut date);
    let mut output = Vec::new();
    connection.protocol.refuse(&error, &date, &mut output);
    connection.protocol.seal(&mut output);
    // If the peer does not take even this, there is nothing more to do for it.
    let _ = connection.socket.send(&output);
}

/// Stops accepting, lets what runs finish under the deadline, then tells the workers to end.
fn shut_down(shared: &Arc<Shared>) {
    // None: any time.
    let until = Instant::now().checked_add(shared.timeouts.shutdown);
    shared.close_listeners();
    hasten(shared);
    while shared.slots.used() > 0 && !shared.hurried() {
        if until.is_some_and(|until| Instant::now() >= until) {
            tracing::warn!(target: "wsgi", "shutdown deadline of {:?} passed with {} connections open", shared.timeouts.shutdown, shared.slots.used());
            shared.hurry();
            break;
        }
        shared.rest(Duration::from_millis(20));
        expire(shared);
        hasten(shared);
    }
    shared.finish();
}

/// Gives idle connections a short time for a request that is on its way already: it is answered, and told that the connection closes.
///
/// Not once but again and again: of one that a worker holds we see nothing, and that worker may have found out just before the shutdown began
/// how long an idle connection may stay.
fn hasten(shared: &Shared) {
    let grace = clock::deadline(IDLE_GRACE);
    for index in shared.slots.indexes() {
        let slot = shared.slots.slot(index);
        slot.try_look(|place| match place.as_deref_mut() {
            Some(connection) => {
                connection.protocol.close_after_reply();
                match connection.state {
                    State::Reading if connection.head_deadline.is_none() => slot.deadline().min(grace),
                    _ => slot.deadline(),
                }
            }
            None => NEVER,
        });
        if slot.is_pending() {
            shared.call_again(index);
        }
    }
}

/// How often listeners are looked after.
const LISTENERS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;

    use bytes::BytesMut;

    use super::*;
    use crate::server::{Listener, Server, Timeouts};
    use crate::wire::{Address, CloseReason, Event, Link, Next, Protocol, RequestHead, ResponseHead};
    use crate::{Exchange, Handler};

    struct Nobody;

    impl Handler for Nobody {
        fn handle(&self, _: &mut dyn Exchange) {}
    }

    /// Waits for ever.
    struct Silent;

    impl Protocol for Silent {
        fn poll(&mut self, _: &mut BytesMut, _: &mut RequestHead, _: &mut Vec<u8>) -> Result<Event, Error> {
            Ok(Event::NeedInput)
        }

        fn end(&mut self, _: &mut BytesMut) -> Result<Event, Error> {
            Ok(Event::Closed)
        }

        fn expect_body(&mut self, _: &mut Vec<u8>) {}

        fn start(&mut self, _: &ResponseHead, _: &HttpDate, _: &mut Vec<u8>) {}

        fn data(&mut self, _: &[u8], _: &mut Vec<u8>) {}

        fn finish(&mut self, _: &mut Vec<u8>) -> Next {
            Next::Close(CloseReason::EndOfReply)
        }

        fn refuse(&mut self, _: &Error, _: &HttpDate, _: &mut Vec<u8>) {}

        fn idle(&self) -> bool {
            true
        }

        fn close_after_reply(&mut self) {}
    }

    /// A worker finds out how long an idle connection may stay, the shutdown begins, and only then does the worker let go of it: it was kept for as
    /// long as if there were no shutdown.
    #[test]
    fn a_connection_that_a_worker_held_when_the_shutdown_began_does_not_hold_the_end() {
        let hour = Duration::from_secs(3600);
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let Address::Tcp(address) = *listener.local_address() else { panic!("bound to TCP") };
        let silent = |_: &Link| Box::new(Silent) as Box<dyn Protocol>;
        let timeouts = Timeouts { idle: hour, shutdown: hour, ..Timeouts::default() };
        let running = Server::new(Nobody).listen(listener, silent).timeouts(timeouts).start().unwrap();
        let shared = Arc::clone(&running.shared);
        let mut peer = TcpStream::connect(address).unwrap();
        while shared.slots.slot(0).deadline() == NEVER {
            std::thread::yield_now();
        }
        shared.slots.slot(0).visit(|_, _| {
            let deadline = clock::deadline(hour);
            running.handle().shutdown();
            while shared.listeners[0].listener.read().unwrap().is_some() {
                std::thread::yield_now();
            }
            // The control thread looks at all connections next.
            std::thread::sleep(Duration::from_millis(100));
            deadline
        });
        peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        assert_eq!(running.wait().stuck, 0);
    }
}
