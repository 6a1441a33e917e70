//! Machines in a network of their own, made of network namespaces: each has an address, and can be unplugged. All traffic stays among them.
//!
//! ```text
//!  the thread of the test, and what it starts ── 10.0.0.1 ─ bridge ┬─ 10.0.0.11  machine 1
//!                                                                  └─ 10.0.0.12  machine 2 …
//! ```
//!
//! The namespaces have no names: they are gone when nobody holds them, however the test ends. It takes root, and the programs `ip` and `unshare`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::front::installed;
use crate::process::{Process, kill, lives};
use crate::{eventually, skip};

/// A machine with an address. Dropping it kills all that runs there.
pub struct Machine {
    /// Its address.
    pub address: Ipv4Addr,
    /// What its end of the cable is called on the bridge.
    port: String,
    namespace: File,
}

/// Whether machines can be made here. Where not: a line that says why, or a panic in CI.
pub fn possible() -> bool {
    if !geteuid().is_root() {
        skip("only root can make networks");
        return false;
    }
    installed("ip", "iproute2") && installed("unshare", "util-linux")
}

/// Runs a scene in a network with so many other machines, on a thread that is in it at [`HERE`]. What the scene starts is there as well.
pub fn with_machines(count: u8, scene: impl FnOnce(&[Machine]) + Send) {
    let on_its_own = || {
        enter(&namespace());
        ip("link set lo up");
        ip("link add bridge type bridge");
        ip(&format!("address add {HERE}/24 dev bridge"));
        ip("link set bridge up");
        let machines: Vec<Machine> = (1..=count).map(Machine::new).collect();
        scene(&machines);
    };
    // A thread that is in another network does not come back.
    if let Err(panic) = thread::scope(|threads| threads.spawn(on_its_own).join()) {
        resume_unwind(panic);
    }
}

impl Machine {
    fn new(number: u8) -> Machine {
        let [a, b, c, _] = HERE.octets();
        let address = Ipv4Addr::new(a, b, c, 10 + number);
        let machine = Machine { address, port: format!("machine{number}"), namespace: namespace() };
        let port = &machine.port;
        ip(&format!("link add {port} type veth peer name cable netns {}", path_of(&machine.namespace).display()));
        ip(&format!("link set {port} master bridge up"));
        machine.inside(|| {
            ip("link set lo up");
            ip(&format!("address add {address}/24 dev cable"));
            ip("link set cable up");
        });
        machine
    }

    /// Starts a program there.
    pub fn start(&self, command: Command) -> Process {
        self.inside(|| Process::start(command))
    }

    /// Takes its cable out: what is sent to it and from it vanishes, and nobody is told.
    pub fn unplug(&self) {
        ip(&format!("link set {} nomaster", self.port));
    }

    /// Puts it in again.
    pub fn plug(&self) {
        ip(&format!("link set {} master bridge", self.port));
    }

    /// Kills all that runs there.
    pub fn kill(&self) {
        eventually("all processes of a machine end", || {
            let processes = self.processes();
            processes.iter().copied().for_each(kill);
            processes.iter().all(|process| !lives(*process))
        });
    }

    fn processes(&self) -> BTreeSet<u32> {
        let here = fs::read_link(path_of(&self.namespace)).expect("a namespace");
        let all = fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        all.filter(|process: &u32| fs::read_link(format!("/proc/{process}/ns/net")).is_ok_and(|namespace| namespace == here)).collect()
    }

    /// Does something there.
    fn inside<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let there = || {
            enter(&self.namespace);
            what()
        };
        thread::scope(|threads| threads.spawn(there).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.processes().into_iter().for_each(kill);
    }
}

/// A new namespace, which lasts for as long as somebody holds it.
fn namespace() -> File {
    let mut holder = Command::new("unshare");
    // It ends with its input, should this program be killed meanwhile.
    let mut holder = holder.args(["--net", "cat"]).stdin(Stdio::piped()).spawn().expect("unshare");
    let path = format!("/proc/{}/ns/net", holder.id());
    let ours = fs::read_link("/proc/thread-self/ns/net").expect("a namespace");
    eventually("there is another network", || fs::read_link(&path).is_ok_and(|other| other != ours));
    let namespace = File::open(&path).expect("a namespace");
    drop(holder.stdin.take());
    holder.wait().expect("its end");
    namespace
}

/// Moves the calling thread, and what it starts from now on.
fn enter(namespace: &File) {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter a namespace");
}

/// By which other processes find it.
fn path_of(namespace: &File) -> PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd()).into()
}

/// Runs `ip`, in the network of the calling thread.
fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).output().unwrap_or_else(|error| panic!("ip {words}: {error}"));
    assert!(done.status.success(), "ip {words}: {}", String::from_utf8_lossy(&done.stderr));
}

/// The address of the thread of the test.
pub const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
