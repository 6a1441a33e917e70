//! The control thread: deadlines, listeners that had to pause, and the order of a shutdown.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::connection::{Connection, State};
use super::{GIVE_WAY, IDLE_GRACE, STOPPING, Shared};
use crate::clock::{self, NEVER};
use crate::listening::KNOCKED;
use crate::wire::{Error, HttpDate};

/// Looks after the engine until it is done.
pub(super) fn run(shared: &Arc<Shared>) {
    let mut turned_away = false;
    while !shared.stopping() {
        let delay = shared.delay();
        if delay.is_some_and(|delay| delay.is_zero()) {
            if !turned_away && shared.turn_away() {
                turned_away = true;
                shared.put_off(KNOCKED);
            } else {
                shared.advance(STOPPING);
            }
            continue;
        }
        shared.rest(delay.unwrap_or(Duration::MAX).min(tick(shared)));
        if shared.giving_way.swap(false, Ordering::SeqCst) {
            std::thread::sleep(GIVE_WAY);
            shared.resume_listeners();
            continue;
        }
        expire(shared);
        shared.traffic[shared.threads].publish();
        shared.resume_listeners();
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
            tracing::info!(target: "wsgi", remote = %connection.remote, "peer took longer than {:?} to take its reply", timeouts.write);
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
    shared.refused(&connection.remote, &error);
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
    // Idle connections get a short time for a request that is on its way already: it is answered, and told that the connection closes.
    let grace = clock::deadline(IDLE_GRACE);
    for index in shared.slots.indexes() {
        shared.slots.slot(index).try_look(|place| match place.as_deref_mut() {
            Some(connection) => {
                connection.protocol.close_after_reply();
                match connection.state {
                    State::Reading if connection.head_deadline.is_none() => grace,
                    _ => shared.slots.slot(index).deadline(),
                }
            }
            None => NEVER,
        });
        if shared.slots.slot(index).is_pending() {
            shared.call_again(index);
        }
    }
    while shared.slots.used() > 0 && !shared.hurried() {
        if until.is_some_and(|until| Instant::now() >= until) {
            tracing::warn!(target: "wsgi", "shutdown deadline of {:?} passed with {} connections open", shared.timeouts.shutdown, shared.slots.used());
            shared.hurry();
            break;
        }
        shared.rest(Duration::from_millis(20));
        expire(shared);
    }
    shared.finish();
}
