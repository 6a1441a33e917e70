//! systemd's templates for several sites on a machine.

use std::fs;
use std::process::Command;
use std::time::Duration;

use wsgi_tests::client::Wire;
use wsgi_tests::column::{Body, Request};
use wsgi_tests::eventually;
use wsgi_tests::front::example::Example;
use wsgi_tests::front::installed;
use wsgi_tests::process::{Process, serve_program};

use crate::container::{Container, WRITES, answer, can_confine, confined};
use crate::files::{GRACEFUL_TIMEOUT, longest_end};

/// A template as it is for one instance.
fn instance(name: &str, of: &str) -> String {
    Example::read(&format!("systemd/{name}")).text().replace("%i", of)
}

/// The value of a line `NAME=value`.
fn setting(unit: &str, name: &str) -> String {
    unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_else(|| panic!("no {name}=")).to_owned()
}

/// Has `systemd-analyze` judge the units of one instance, from a folder of its own; gives what it says.
fn analyze(words: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a folder");
    for kind in ["service", "socket"] {
        let unit = Example::read(&format!("systemd/site@.{kind}"))
            .text()
            .replace("/usr/local/bin/serve", serve_program().to_str().expect("UTF-8"));
        // A template, and the instance by its own name: what says %i is judged with the name of the instance.
        for name in ["site@", "site@shop"] {
            fs::write(folder.path().join(format!("{name}.{kind}")), &unit).expect("a file");
        }
    }
    let said = Command::new("systemd-analyze").args(words).current_dir(folder.path()).output().expect("systemd-analyze");
    (said.status.success(), format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr)))
}

#[test]
fn systemd_accepts_the_templates() {
    if !installed("systemd-analyze", "systemd") {
        return;
    }
    let units = ["./site@.service", "./site@.socket", "./site@shop.service", "./site@shop.socket"];
    // Keys that it does not know are no error to it, but it names them.
    assert_eq!(analyze(&[&["verify"], &units[..]].concat()), (true, String::new()));
}

#[test]
fn the_service_manager_waits_longer_than_the_server() {
    let seconds = setting(&instance("site@.service", "shop"), "TimeoutStopSec").parse().expect("seconds");
    assert!(Duration::from_secs(seconds) > longest_end(GRACEFUL_TIMEOUT));
    let ini = Example::read("systemd/shop.ini");
    assert!(!ini.text().contains("graceful-timeout"), "then that counts, and not what is usual");
}

#[test]
fn little_of_the_machine_is_open_to_a_site() {
    if !installed("systemd-analyze", "systemd") {
        return;
    }
    // Of 100, where 100 is everything. What is left is the network, and what the template says that it leaves out.
    let (passes, said) = analyze(&["security", "--offline=yes", "--no-pager", "--threshold=20", "./site@shop.service"]);
    assert!(passes, "{said}");
}

#[test]
fn several_sites_are_served_each_from_its_ini_file_with_nothing_to_write_to_but_its_own() {
    if !installed("systemd-socket-activate", "systemd") || !can_confine() {
        return;
    }
    let mut machine = Container::empty();
    let ini = Example::read("systemd/shop.ini");
    let mut running = Vec::new();
    for site in ["shop", "blog"] {
        let (service, socket) = (instance("site@.service", site), instance("site@.socket", site));
        let words = setting(&service, "ExecStart");
        let ["/usr/local/bin/serve", file] = words.split(' ').collect::<Vec<_>>()[..] else { panic!("{words}") };
        machine.ini(file, ini.text());
        machine.site(&format!("/srv/{site}"), WRITES);
        // What systemd makes for it, and leaves it to write to.
        assert_eq!(
            ["ProtectSystem", "PrivateTmp", "NoNewPrivileges", "CapabilityBoundingSet"].map(|key| setting(&service, key)),
            ["strict", "yes", "yes", ""]
        );
        let own = [("StateDirectory", "/var/lib"), ("LogsDirectory", "/var/log"), ("RuntimeDirectory", "/run")];
        let mut writable = own.map(|(key, place)| machine.path(&format!("{place}/{}", setting(&service, key)))).to_vec();
        writable.push(machine.path(&format!("/tmp/{site}")));
        writable.iter().for_each(|folder| fs::create_dir_all(folder).expect("a folder"));
        let listen = machine.path(&setting(&socket, "ListenStream"));
        let mut serve = Command::new(serve_program());
        serve.arg(machine.path(file));
        let serve = confined(&serve, &writable);
        let mut command = Command::new("systemd-socket-activate");
        command.arg("--listen").arg(&listen).arg(format!("--fdname={}", setting(&socket, "FileDescriptorName")));
        command.arg(format!("--setenv=TMPDIR={}", machine.path(&format!("/tmp/{site}")).display()));
        command.arg(serve.get_program()).args(serve.get_args());
        let mut process = Process::start(command);
        process.line_with(&format!("Listening on {}", listen.display()));
        running.push((site, listen, process));
    }
    for (site, listen, mut process) in running {
        // It is the first client that has the server started.
        let upload = Request::new("POST", "/a/path").body(Body::Chunked(vec![vec![b'x'; 500_000]; 4]));
        let seen = answer(Wire::unix(&listen).expect("it listens"), &upload).unwrap_or_else(|| panic!("{}", process.stderr()));
        assert_eq!(seen.text(), "2000000 Read-only file system", "{}", process.stderr());
        process.line_with("listening on http+unix:");
        let log = machine.path(&format!("/var/log/serve/{site}/requests.log"));
        eventually("the request is logged", || fs::read_to_string(&log).is_ok_and(|text| text.contains("POST /a/path")));
        let stats = machine.path(&format!("/run/serve/{site}/stats.sock"));
        let ready = answer(Wire::unix(&stats).expect("it tells figures"), &Request::get("/readyz")).expect("an answer");
        assert_eq!(ready.code(), 200);
        process.terminate();
        assert!(process.wait().status.success());
    }
}
