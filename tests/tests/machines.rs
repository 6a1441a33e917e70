//! Several machines behind nginx and HAProxy, as in `examples/deploy`: what is lost when they are replaced, and when they die.
//!
//! Each scene has its own load: clients that get pages, and others that post orders. What may be repeated is never lost, and what may not be
//! repeated is never begun twice.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Signal;
use wsgi_tests::eventually;
use wsgi_tests::front::farm::{Farm, Server};
use wsgi_tests::front::web_server::WebServer;
use wsgi_tests::load::{Failure, Load};
use wsgi_tests::machines::{possible, with_machines};
use wsgi_tests::process::{lives, send, serve_program};

#[test]
fn behind_nginx_what_is_planned_loses_nothing() {
    in_a_farm(NGINX, |farm| {
        reload_each(farm);
        upgrade_each(farm);
        deploy_one_after_the_other(farm);
    });
}

#[test]
fn behind_haproxy_what_is_planned_loses_nothing() {
    in_a_farm(HAPROXY, |farm| {
        reload_each(farm);
        upgrade_each(farm);
        deploy_one_after_the_other(farm);
    });
}

#[test]
fn behind_nginx_a_death_takes_only_orders_with_it_that_were_inside() {
    in_a_farm(NGINX, |farm| {
        kill_a_worker(farm);
        kill_a_machine(farm);
        unplug_a_machine(farm);
    });
}

#[test]
fn behind_haproxy_a_death_takes_only_orders_with_it_that_were_inside() {
    in_a_farm(HAPROXY, |farm| {
        kill_a_worker(farm);
        kill_a_machine(farm);
        unplug_a_machine(farm);
    });
}

fn reload_each(farm: &mut Farm<'_>) {
    let clients = Clients::start(farm);
    for server in &mut farm.servers {
        server.signal(Signal::HUP);
        server.process.line_with("reloaded: 2 workers ready");
    }
    clients.lose_nothing(farm);
}

fn upgrade_each(farm: &mut Farm<'_>) {
    let clients = Clients::start(farm);
    for server in &mut farm.servers {
        let before = server.master();
        server.signal(Signal::USR2);
        server.process.lines_with("has taken over", 1);
        eventually("the master before it ends", || !lives(before));
    }
    clients.lose_nothing(farm);
}

/// Each machine is told to end, and started anew.
fn deploy_one_after_the_other(farm: &mut Farm<'_>) {
    let clients = Clients::start(farm);
    for number in 0..farm.servers.len() {
        let server = &mut farm.servers[number];
        let before = server.master();
        server.signal(Signal::TERM);
        eventually("it ends", || !lives(before));
        server.start_again();
        farm.wait_for(&farm.servers[number]);
    }
    clients.lose_nothing(farm);
}

fn kill_a_worker(farm: &mut Farm<'_>) {
    let clients = Clients::start(farm);
    let server: &Server<'_> = &farm.servers[0];
    let killed = *server.workers().first().expect("a worker");
    send(killed, Signal::KILL);
    eventually("another takes its place", || server.workers().len() == 2 && !server.workers().contains(&killed));
    farm.wait_for(server);
    clients.lose_only_orders(farm);
}

fn kill_a_machine(farm: &mut Farm<'_>) {
    let clients = Clients::start(farm);
    farm.servers[1].machine.kill();
    clients.lose_only_orders(farm);
    farm.servers[1].start_again();
    farm.wait_for(&farm.servers[1]);
}

fn unplug_a_machine(farm: &mut Farm<'_>) {
    let clients = Clients::start(farm);
    let server = &farm.servers[2];
    server.machine.unplug();
    // Those who wait for it are heard at the end, when the balancer has given it up.
    clients.lose_only_orders(farm);
    server.machine.plug();
    farm.wait_for(server);
}

/// Who asks while something happens.
struct Clients {
    readers: Load,
    buyers: Load,
}

impl Clients {
    fn start(farm: &Farm<'_>) -> Clients {
        let readers = Load::start(farm.address(), "/sleep/1", READERS);
        let clients = Clients { readers, buyers: Load::posting(farm.address(), "/sleep/1", BUYERS) };
        clients.wait();
        clients
    }

    /// Until they were answered for a while.
    fn wait(&self) {
        self.readers.wait_for(5 * READERS);
        self.buyers.wait_for(5 * BUYERS);
    }

    #[track_caller]
    fn lose_nothing(self, farm: &Farm<'_>) {
        let lost = self.lost_orders(farm);
        assert_eq!(lost, [], "{}", farm.said());
    }

    /// Each buyer had at most one order there.
    #[track_caller]
    fn lose_only_orders(self, farm: &Farm<'_>) {
        let lost = self.lost_orders(farm);
        assert!(lost.len() <= BUYERS, "{lost:?}\n{}", farm.said());
    }

    #[track_caller]
    fn lost_orders(self, farm: &Farm<'_>) -> Vec<Failure> {
        self.wait();
        let (read, bought) = (self.readers.finish(), self.buyers.finish());
        println!("{} answered; {} orders, of which {} lost", read.answered, bought.answered, bought.failures.len());
        assert_eq!(read.failures, [], "{}", farm.said());
        let orders = farm.orders();
        let different: BTreeSet<&String> = orders.iter().collect();
        assert_eq!(orders.len(), different.len(), "an order was begun twice");
        assert!(orders.len() >= bought.answered);
        bought.failures
    }
}

/// Runs scenes, one farm at a time, if it can be had here.
fn in_a_farm((balancer, example, changes): Balancer, scenes: impl FnOnce(&mut Farm<'_>) + Send) {
    if !possible() || !balancer.installed() {
        return;
    }
    let _alone = alone();
    serve_program();
    with_machines(3, |machines| scenes(&mut Farm::start(balancer, example, changes, machines)));
}

/// What they ask is whether requests get lost, not how much one machine can bear.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who stands in front, its example, and what is changed there so that a test need not wait for long.
type Balancer = (WebServer, &'static str, &'static [(&'static str, &'static str)]);

const NGINX: Balancer = (
    WebServer::Nginx,
    "nginx/several_machines.conf",
    &[
        ("fail_timeout=5s", "fail_timeout=1s"),
        ("--shutdown-delay 2", "--shutdown-delay 1"),
        ("proxy_read_timeout 30s", "proxy_read_timeout 2s"),
    ],
);
const HAPROXY: Balancer = (
    WebServer::HaProxy,
    "haproxy/several_machines.cfg",
    &[
        ("inter 1s", "inter 200ms"),
        ("--shutdown-delay 5", "--shutdown-delay 1"),
        ("tcp-ut 5s", "tcp-ut 2s"),
        ("srvtcpka-idle 3s", "srvtcpka-idle 1s"),
    ],
);
const READERS: usize = 48;
const BUYERS: usize = 16;
