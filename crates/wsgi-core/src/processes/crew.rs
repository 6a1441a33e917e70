//! Who is to be started, stopped or killed next: the rules, without a process, a socket or a clock.
//!
//! ```text
//!            started()        ready()            Act::Stop          ended()
//!  Act::Start ───────▶ Starting ───────▶ Ready ───────────▶ Leaving ───────▶ gone
//!                         │ too long        │ died                │ too long
//!                         ▼                 ▼                     ▼
//!                     Act::Kill         Act::Start             Act::Kill
//! ```
//!
//! - A worker that is missing is started at once; one that died young waits longer each time.
//! - A worker that is to be renewed goes only when its successor is ready, and only when everybody else is.
//! - A worker that starts for a generation that is no longer wanted is stopped: who asks for another reload does not wait for it.
//! - While no worker of a generation has been ready, one alone is started: what is wrong with it is said once.
//! - If it fails, and there are others of an earlier generation, these go on as if nobody had asked for a new one.

use std::time::{Duration, Instant};

/// How many workers there are, and how long they may take.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) size: u32,
    /// From the start of a worker until it is ready.
    pub(super) start: Duration,
    /// From being asked to stop until it is killed.
    pub(super) grace: Duration,
    /// After a first and after many early deaths.
    pub(super) backoff: (Duration, Duration),
}

/// All workers, and what is wanted of them.
#[derive(Debug)]
pub(super) struct Crew<Id> {
    rules: Rules,
    /// In the order in which they were started, which is that in which they are replaced.
    members: Vec<Member<Id>>,
    /// The generation that every worker should be of.
    wanted: u32,
    /// The last generation that anyone asked for.
    latest: u32,
    /// The last generation of which a worker was ready.
    proven: Option<u32>,
    failures: u32,
    last_failure: Option<Instant>,
    retry_at: Option<Instant>,
    /// Everybody is to go; what waits in the sockets is theirs to answer, or somebody else's.
    stopping: Option<Backlog>,
}

/// Whose are the connections that nobody has accepted yet?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backlog {
    /// Of the workers that stop: there are no others.
    Ours,
    /// Of others that listen on the same sockets.
    Others,
}

#[derive(Debug)]
struct Member<Id> {
    id: Id,
    number: u32,
    generation: u32,
    state: State,
    /// Whom it replaces once it is ready.
    replaces: Option<Id>,
    /// It is to be replaced.
    renew: bool,
    renew_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Starting {
        until: Option<Instant>,
    },
    Ready {
        since: Instant,
    },
    /// `None`: killed, or never to be.
    Leaving {
        until: Option<Instant>,
    },
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act<Id> {
    /// Start a worker, and tell with [`Crew::started`] or [`Crew::not_started`].
    Start {
        number: u32,
        generation: u32,
        replaces: Option<Id>,
    },
    Stop {
        id: Id,
        backlog: Backlog,
    },
    Kill {
        id: Id,
        why: &'static str,
    },
}

/// What the end of a worker means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was asked to.
    Asked,
    /// It was serving.
    Died { number: u32 },
    /// It never was ready, and neither was any other before it.
    FirstFailed { number: u32 },
    /// It never was ready, while others are.
    StartFailed { number: u32 },
    /// It never was ready, and nobody of its generation was: the reload is off.
    ReloadFailed { number: u32 },
}

impl<Id: Copy + PartialEq> Crew<Id> {
    pub(super) fn new(rules: Rules) -> Crew<Id> {
        Crew {
            rules,
            members: Vec::new(),
            wanted: 1,
            latest: 1,
            proven: None,
            failures: 0,
            last_failure: None,
            retry_at: None,
            stopping: None,
        }
    }

    /// The next thing to do, until there is nothing.
    pub(super) fn act(&mut self, now: Instant) -> Option<Act<Id>> {
        self.overdue(now).or_else(|| match self.stopping {
            Some(backlog) => self.dismiss(backlog, now),
            None => self.retire(now).or_else(|| self.give_up(now)).or_else(|| self.hire(now)),
        })
    }

    /// When [`act`](Self::act) has something to do at the latest, if nothing happens.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let states = self.members.iter().filter_map(|member| match member.state {
            State::Starting { until } | State::Leaving { until } => until,
            State::Ready { .. } => member.renew_at.filter(|_| !member.renew),
        });
        states.chain(self.retry_at).min()
    }

    pub(super) fn started(&mut self, id: Id, number: u32, generation: u32, replaces: Option<Id>, now: Instant) {
        let state = State::Starting { until: now.checked_add(self.rules.start) };
        self.members.push(Member { id, number, generation, state, replaces, renew: false, renew_at: None });
    }

    /// The system did not let a worker be started.
    pub(super) fn not_started(&mut self, now: Instant) {
        self.failed(now, false);
    }

    /// A worker serves. `lifetime`: it is to be replaced after this time. False if it is not one that we wait for.
    pub(super) fn ready(&mut self, id: Id, lifetime: Option<Duration>, now: Instant) -> bool {
        let Some(member) = self.members.iter_mut().find(|member| member.id == id) else { return false };
        if !matches!(member.state, State::Starting { .. }) {
            return false;
        }
        member.state = State::Ready { since: now };
        member.renew_at = lifetime.and_then(|lifetime| now.checked_add(lifetime));
        self.proven = self.proven.max(Some(member.generation));
        true
    }

    /// A worker is to be replaced. False if that was known already.
    pub(super) fn renew(&mut self, id: Id) -> bool {
        let member =
            self.members.iter_mut().find(|member| member.id == id && !member.renew && !matches!(member.state, State::Leaving { .. }));
        member.map(|member| member.renew = true).is_some()
    }

    /// Every worker is to be replaced. What has failed before may be mended by now: nobody waits for that.
    pub(super) fn reload(&mut self) {
        self.latest += 1;
        self.wanted = self.latest;
        self.failures = 0;
        self.retry_at = None;
    }

    /// A worker goes by itself, and in order.
    pub(super) fn leaves(&mut self, id: Id, now: Instant) {
        let until = now.checked_add(self.rules.grace);
        if let Some(member) = self.members.iter_mut().find(|member| member.id == id && !matches!(member.state, State::Leaving { .. })) {
            member.state = State::Leaving { until };
        }
    }

    pub(super) fn stop(&mut self, backlog: Backlog) {
        self.stopping = Some(backlog);
        self.retry_at = None;
    }

    /// Nobody waits longer than this.
    pub(super) fn hurry(&mut self, grace: Duration, now: Instant) {
        self.rules.grace = grace;
        let end = now.checked_add(grace);
        for member in &mut self.members {
            if let State::Leaving { until: Some(until) } = &mut member.state {
                *until = end.map_or(*until, |end| end.min(*until));
            }
        }
    }

    pub(super) fn ended(&mut self, id: Id, now: Instant) -> Option<End> {
        let index = self.members.iter().position(|member| member.id == id)?;
        let Member { number, generation, state, .. } = self.members.remove(index);
        let settled = |failures: Option<Instant>| {
            self.members.iter().any(|member| match member.state {
                State::Ready { since } => since + SETTLED <= now && failures.is_none_or(|failure| since >= failure),
                _ => false,
            })
        };
        if settled(self.last_failure) {
            self.failures = 0;
        }
        Some(match state {
            State::Leaving { .. } => End::Asked,
            _ if self.stopping.is_some() => End::Asked,
            State::Ready { since } => {
                if since + SETTLED <= now {
                    self.failures = 0;
                } else {
                    self.failed(now, true);
                }
                End::Died { number }
            }
            State::Starting { .. } if self.proven.is_none() => {
                self.failed(now, false);
                End::FirstFailed { number }
            }
            State::Starting { .. } if self.proven < Some(generation) && self.wanted == generation => {
                // Backoff is for what must be; nobody has to have a reload.
                self.wanted = self.proven.unwrap_or(generation);
                End::ReloadFailed { number }
            }
            State::Starting { .. } => {
                self.failed(now, false);
                End::StartFailed { number }
            }
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether as many serve as should, and nobody of another generation is left. Some of them may be about to be renewed.
    pub(super) fn is_complete(&self) -> bool {
        self.serving() >= self.rules.size as usize && self.members.iter().all(|member| member.generation == self.wanted)
    }

    /// How many serve.
    pub(super) fn serving(&self) -> usize {
        self.members.iter().filter(|member| matches!(member.state, State::Ready { .. })).count()
    }

    pub(super) fn number(&self, id: Id) -> Option<u32> {
        self.members.iter().find(|member| member.id == id).map(|member| member.number)
    }

    pub(super) fn ids(&self) -> Vec<Id> {
        self.members.iter().map(|member| member.id).collect()
    }

    /// Those that serve and are not to be replaced anyway.
    pub(super) fn settled(&self) -> Vec<Id> {
        self.members.iter().filter(|member| matches!(member.state, State::Ready { .. }) && !member.renew).map(|member| member.id).collect()
    }

    fn failed(&mut self, now: Instant, was_ready: bool) {
        self.last_failure = Some(now);
        // What makes one fail makes others fail with it: that is no reason to wait longer.
        if self.retry_at.is_some_and(|at| at > now) {
            return;
        }
        self.failures += 1;
        let (least, most) = self.rules.backoff;
        // What was ready once is worth another try without waiting.
        let wait =
            if was_ready && self.failures == 1 { Duration::ZERO } else { least.saturating_mul(1 << (self.failures - 1).min(16)).min(most) };
        self.retry_at = now.checked_add(wait);
    }

    fn overdue(&mut self, now: Instant) -> Option<Act<Id>> {
        for member in &mut self.members {
            let why = match member.state {
                State::Starting { until: Some(until) } if until <= now => "it was not ready in time",
                State::Leaving { until: Some(until) } if until <= now => "it did not end in time",
                _ => continue,
            };
            match &mut member.state {
                // Its end is still to count as a failed start.
                State::Starting { until } | State::Leaving { until } => *until = None,
                State::Ready { .. } => {}
            }
            return Some(Act::Kill { id: member.id, why });
        }
        None
    }

    fn dismiss(&mut self, backlog: Backlog, now: Instant) -> Option<Act<Id>> {
        let until = now.checked_add(self.rules.grace);
        let member = self.members.iter_mut().find(|member| !matches!(member.state, State::Leaving { .. }))?;
        member.state = State::Leaving { until };
        Some(Act::Stop { id: member.id, backlog })
    }

    /// Lets go whose successor is ready.
    fn retire(&mut self, now: Instant) -> Option<Act<Id>> {
        let until = now.checked_add(self.rules.grace);
        let ready = self.members.iter_mut().filter(|member| matches!(member.state, State::Ready { .. }));
        let replaced: Vec<Id> = ready.filter_map(|member| member.replaces.take()).collect();
        for old in replaced {
            if let Some(member) = self.members.iter_mut().find(|member| member.id == old) {
                if !matches!(member.state, State::Leaving { .. }) {
                    member.state = State::Leaving { until };
                    return Some(Act::Stop { id: old, backlog: Backlog::Others });
                }
            }
        }
        None
    }

    /// Stops who starts for a generation that nobody wants any more: it may take its whole time, or never be ready.
    fn give_up(&mut self, now: Instant) -> Option<Act<Id>> {
        let (wanted, until) = (self.wanted, now.checked_add(self.rules.grace));
        let starts = |member: &&mut Member<Id>| member.generation < wanted && matches!(member.state, State::Starting { .. });
        let member = self.members.iter_mut().find(starts)?;
        member.state = State::Leaving { until };
        Some(Act::Stop { id: member.id, backlog: Backlog::Others })
    }

    fn hire(&mut self, now: Instant) -> Option<Act<Id>> {
        for member in &mut self.members {
            member.renew |= member.renew_at.is_some_and(|at| at <= now);
        }
        if self.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        self.retry_at = None;
        let live = || self.members.iter().filter(|member| !matches!(member.state, State::Leaving { .. }));
        let starting = live().any(|member| matches!(member.state, State::Starting { .. }));
        // Two of them will be one.
        let pairs = live().filter(|member| member.replaces.is_some_and(|old| live().any(|member| member.id == old))).count();
        if live().count() - pairs < self.rules.size as usize {
            if starting && self.proven < Some(self.wanted) {
                return None;
            }
            let number = (1..).find(|number| live().all(|member| member.number != *number)).unwrap_or(u32::MAX);
            return Some(Act::Start { number, generation: self.wanted, replaces: None });
        }
        // One at a time: the next begins when this one's successor serves and it is gone.
        if self.members.len() != self.rules.size as usize || starting {
            return None;
        }
        let old = self.members.iter().find(|member| member.generation < self.wanted || member.renew)?;
        Some(Act::Start { number: old.number, generation: self.wanted, replaces: Some(old.id) })
    }
}

/// One that was ready for this long has not died young.
const SETTLED: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// A crew of made-up processes, and a clock that is moved by hand.
    struct Play {
        crew: Crew<u32>,
        now: Instant,
        last: u32,
    }

    impl Play {
        fn new(size: u32) -> Play {
            let seconds = Duration::from_secs;
            let rules = Rules { size, start: seconds(60), grace: seconds(30), backoff: (seconds(1), seconds(8)) };
            Play { crew: Crew::new(rules), now: Instant::now(), last: 0 }
        }

        /// A crew of which all are ready, and have been for long.
        fn settled(size: u32) -> Play {
            let mut play = Play::new(size);
            for _ in 0..size {
                play.acts();
                for id in 1..=play.last {
                    play.crew.ready(id, None, play.now);
                }
            }
            assert!(play.acts().is_empty() && play.crew.is_complete());
            play.pass(60);
            play
        }

        /// Does everything that is to be done, and says what it was: `+2` started, `-1` stopped, `x1` killed.
        fn acts(&mut self) -> Vec<String> {
            let mut done = Vec::new();
            while let Some(act) = self.crew.act(self.now) {
                done.push(match act {
                    Act::Start { number, generation, replaces } => {
                        self.last += 1;
                        self.crew.started(self.last, number, generation, replaces, self.now);
                        format!("+{}", self.last)
                    }
                    Act::Stop { id, backlog } => format!("-{id}{}", if backlog == Backlog::Ours { " drain" } else { "" }),
                    Act::Kill { id, .. } => format!("x{id}"),
                });
            }
            done
        }

        fn ready(&mut self, id: u32) -> Vec<String> {
            assert!(self.crew.ready(id, None, self.now));
            self.acts()
        }

        fn ends(&mut self, id: u32) -> (End, Vec<String>) {
            let end = self.crew.ended(id, self.now).unwrap();
            (end, self.acts())
        }

        fn pass(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }
    }

    #[test]
    fn the_first_proves_itself_before_the_others_are_started() {
        let mut play = Play::new(3);
        assert_eq!(play.acts(), ["+1"]);
        assert_eq!(play.ready(1), ["+2", "+3"]);
        assert_eq!(play.ready(3), [""; 0]);
        assert!(!play.crew.is_complete());
        play.ready(2);
        assert!(play.crew.is_complete());
        assert_eq!(play.crew.serving(), 3);
    }

    #[test]
    fn one_that_dies_is_replaced_at_once_and_later_if_it_dies_young_again_and_again() {
        let mut play = Play::settled(2);
        assert_eq!(play.ends(2), (End::Died { number: 2 }, vec!["+3".to_owned()]));
        play.ready(3);
        assert_eq!(play.ends(3), (End::Died { number: 2 }, vec!["+4".to_owned()]));
        play.ready(4);
        assert_eq!(play.ends(4), (End::Died { number: 2 }, vec![]));
        play.pass(1);
        assert_eq!(play.acts(), [""; 0]);
        play.pass(1);
        assert_eq!(play.acts(), ["+5"]);
        // One that stays settles the matter.
        play.ready(5);
        play.pass(2);
        assert_eq!(play.ends(5), (End::Died { number: 2 }, vec!["+6".to_owned()]));
    }

    #[test]
    fn one_that_never_gets_ready_is_tried_again_later_and_later() {
        let mut play = Play::settled(2);
        play.ends(2);
        let mut waits = Vec::new();
        for _ in 0..6 {
            assert_eq!(play.ends(play.last), (End::StartFailed { number: 2 }, vec![]));
            waits.push((play.crew.next_deadline().unwrap() - play.now).as_secs());
            play.now = play.crew.next_deadline().unwrap();
            assert_eq!(play.acts().len(), 1);
        }
        assert_eq!(waits, [1, 2, 4, 8, 8, 8]);
    }

    #[test]
    fn the_first_of_all_that_fails_is_told_apart() {
        let mut play = Play::new(2);
        play.acts();
        assert_eq!(play.ends(1), (End::FirstFailed { number: 1 }, vec![]));
        play.pass(1);
        assert_eq!(play.acts(), ["+2"], "one alone");
    }

    #[test]
    fn a_reload_replaces_one_after_the_other_and_never_two_at_once() {
        let mut play = Play::settled(2);
        play.crew.reload();
        assert_eq!(play.acts(), ["+3"]);
        assert_eq!(play.ready(3), ["-1"]);
        assert_eq!(play.ends(1), (End::Asked, vec!["+4".to_owned()]));
        assert!(!play.crew.is_complete());
        // Asked again in the middle of it: those of the generation between are replaced too.
        play.crew.reload();
        assert_eq!(play.ready(4), ["-2"]);
        assert_eq!(play.ends(2), (End::Asked, vec!["+5".to_owned()]));
        assert_eq!(play.ready(5), ["-3"]);
        assert_eq!(play.ends(3).1, ["+6"], "the fourth was started before the second request");
        assert_eq!(play.ready(6), ["-4"]);
        assert_eq!(play.ends(4).1, [""; 0]);
        assert!(play.crew.is_complete());
    }

    #[test]
    fn a_reload_whose_first_worker_fails_keeps_the_others() {
        let mut play = Play::settled(2);
        play.crew.reload();
        assert_eq!(play.acts(), ["+3"]);
        assert_eq!(play.ends(3), (End::ReloadFailed { number: 1 }, vec![]));
        play.pass(100);
        assert!(play.acts().is_empty() && play.crew.is_complete());
        // The next one is another attempt.
        play.crew.reload();
        assert_eq!(play.acts(), ["+4"]);
        assert_eq!(play.ready(4), ["-1"]);
        assert_eq!(play.ends(1).1, ["+5"]);
        // From now on the generation is good, and a failure an accident.
        assert_eq!(play.ends(5), (End::StartFailed { number: 2 }, vec![]));
        play.pass(1);
        assert_eq!(play.acts(), ["+6"]);
    }

    #[test]
    fn renewals_wait_for_each_other_and_for_those_that_are_missing() {
        let mut play = Play::settled(3);
        assert!(play.crew.renew(1) && !play.crew.renew(1) && play.crew.renew(2));
        assert_eq!(play.acts(), ["+4"]);
        assert_eq!(play.ends(3).1, ["+5"]);
        assert_eq!(play.ready(4), ["-1"]);
        assert_eq!(play.ends(1).1, [""; 0], "the one that died is not back yet");
        assert_eq!(play.ready(5), ["+6"]);
        assert_eq!(play.ready(6), ["-2"]);
    }

    #[test]
    fn a_renewal_that_fails_is_tried_again_and_the_old_one_goes_on() {
        let mut play = Play::settled(1);
        play.crew.renew(1);
        assert_eq!(play.acts(), ["+2"]);
        assert_eq!(play.ends(2), (End::StartFailed { number: 1 }, vec![]));
        assert_eq!(play.crew.serving(), 1);
        play.pass(1);
        assert_eq!(play.acts(), ["+3"]);
        // It dies while its successor starts: that one takes its place.
        assert_eq!(play.ends(1), (End::Died { number: 1 }, vec![]));
        assert_eq!(play.ready(3), [""; 0]);
        assert!(play.crew.is_complete());
    }

    #[test]
    fn who_has_lived_long_enough_is_renewed() {
        let mut play = Play::new(1);
        play.acts();
        assert!(play.crew.ready(1, Some(Duration::from_secs(5)), play.now));
        assert_eq!(play.acts(), [""; 0]);
        assert_eq!(play.crew.next_deadline(), Some(play.now + Duration::from_secs(5)));
        play.pass(5);
        assert_eq!(play.acts(), ["+2"]);
        assert_eq!(play.ready(2), ["-1"]);
    }

    #[test]
    fn who_takes_too_long_is_killed_once() {
        let mut play = Play::settled(1);
        play.crew.renew(1);
        play.acts();
        play.pass(60);
        assert_eq!(play.acts(), ["x2"]);
        assert_eq!(play.ends(2).0, End::StartFailed { number: 1 });
        play.pass(1);
        play.acts();
        assert_eq!(play.ready(3), ["-1"]);
        play.pass(30);
        assert_eq!(play.acts(), ["x1"]);
        play.pass(30);
        assert_eq!(play.acts(), [""; 0]);
        assert_eq!(play.ends(1).0, End::Asked);
    }

    #[test]
    fn at_the_end_all_go_and_nobody_comes() {
        let mut play = Play::settled(2);
        play.ends(2);
        play.crew.stop(Backlog::Ours);
        assert_eq!(play.acts(), ["-1 drain", "-3 drain"]);
        assert_eq!(play.ends(3), (End::Asked, vec![]));
        play.crew.hurry(Duration::from_secs(2), play.now);
        play.pass(2);
        assert_eq!(play.acts(), ["x1"]);
        play.ends(1);
        assert!(play.crew.is_empty());
    }

    #[test]
    fn one_that_leaves_by_itself_is_replaced_and_not_a_failure() {
        let mut play = Play::settled(2);
        play.crew.leaves(1, play.now);
        assert_eq!(play.acts(), ["+3"]);
        assert_eq!(play.ends(1), (End::Asked, vec![]));
    }

    #[test]
    fn who_serves_is_enough_while_others_are_renewed_again_and_again() {
        let mut play = Play::new(2);
        play.acts();
        assert_eq!(play.ready(1), ["+2"]);
        play.crew.renew(1);
        assert_eq!(play.ready(2), ["+3"]);
        assert!(play.crew.is_complete(), "two serve, and a third will");
        play.crew.reload();
        assert!(!play.crew.is_complete());
        assert_eq!(play.ready(3), ["-1"]);
        assert_eq!(play.ends(1).1, ["+4"]);
        assert_eq!(play.ready(4), ["-2"]);
        assert_eq!(play.ends(2).1, ["+5"], "the third is of the generation before");
        play.crew.renew(4);
        assert_eq!(play.ready(5), ["-3"]);
        assert!(!play.crew.is_complete(), "one of the generation before is still there");
        assert_eq!(play.ends(3).1, ["+6"]);
        assert!(play.crew.is_complete());
    }

    #[test]
    fn who_has_waited_longest_is_replaced_first() {
        let mut play = Play::settled(3);
        play.crew.reload();
        assert_eq!(play.acts(), ["+4"]);
        assert_eq!(play.ready(4), ["-1"]);
        // It would be the next again and again.
        play.crew.renew(4);
        assert_eq!(play.ends(1).1, ["+5"]);
        assert_eq!(play.ready(5), ["-2"]);
        assert_eq!(play.ends(2).1, ["+6"]);
        assert_eq!(play.ready(6), ["-3"]);
        assert_eq!(play.ends(3).1, ["+7"]);
        assert_eq!(play.ready(7), ["-4"]);
    }

    #[test]
    fn those_that_die_together_have_failed_once() {
        let mut play = Play::settled(4);
        for id in 1..=4 {
            play.ends(id);
        }
        let started = play.last;
        for id in 5..=started {
            play.ready(id);
        }
        let mut last = Vec::new();
        for id in 5..=started {
            last = play.ends(id).1;
        }
        assert_eq!(last, [""; 0]);
        let wait = play.crew.next_deadline().unwrap() - play.now;
        assert!(wait <= Duration::from_secs(2), "{wait:?}");
    }

    #[test]
    fn who_asks_for_a_reload_does_not_wait_for_the_next_attempt_of_what_fails() {
        let mut play = Play::settled(1);
        play.ends(1);
        for _ in 0..5 {
            play.ends(play.last);
            play.now = play.crew.next_deadline().unwrap();
            play.acts();
        }
        assert_eq!(play.ends(play.last).1, [""; 0]);
        play.crew.reload();
        assert_eq!(play.acts(), [format!("+{}", play.last)]);
        play.ready(play.last);
        assert!(play.crew.is_complete());
    }

    #[test]
    fn nobody_waits_for_one_that_starts_for_what_is_no_longer_wanted() {
        let mut play = Play::settled(2);
        play.crew.reload();
        assert_eq!(play.acts(), ["+3"]);
        // It hangs, somebody sees why, and tries again.
        play.crew.reload();
        assert_eq!(play.acts(), ["-3"]);
        assert_eq!(play.ends(3), (End::Asked, vec!["+4".to_owned()]));
        assert_eq!(play.ready(4), ["-1"]);
    }

    #[test]
    fn at_the_end_nothing_is_left_to_wake_up_for_but_those_who_leave() {
        let mut play = Play::settled(1);
        play.crew.renew(1);
        play.acts();
        assert_eq!(play.ends(2).0, End::StartFailed { number: 1 });
        play.crew.stop(Backlog::Ours);
        assert_eq!(play.acts(), ["-1 drain"]);
        assert_eq!(play.crew.next_deadline(), Some(play.now + Duration::from_secs(30)));
    }
}
