//! The Compose file.

use std::process::Command;
use std::time::{Duration, Instant};

use wsgi_tests::browser::Browser;
use wsgi_tests::client::Wire;
use wsgi_tests::column::Request;
use wsgi_tests::eventually;
use wsgi_tests::front::example;
use wsgi_tests::front::site::{Setup, can_start};
use wsgi_tests::front::table::NGINX_SEVERAL;
use wsgi_tests::front::upstream::Address;
use wsgi_tests::load::Load;
use wsgi_tests::process::Process;
use wsgi_tests::venv::{self, PYTHON};
use yaml_rust2::Yaml;

use crate::container::{Container, answer, ends_by_itself, processes};
use crate::files::{documents, list, longest_end, text, texts, told, validate};
use crate::image::Dockerfile;
use crate::kubernetes::{CLIENTS, alone};

/// The file's only document.
struct Compose(Yaml);

impl Compose {
    fn read() -> Compose {
        let mut documents = documents("compose/compose.yaml");
        assert_eq!(documents.len(), 1);
        Compose(documents.remove(0))
    }

    /// A key of a service, which may stand in what it merges.
    fn of<'a>(&'a self, service: &str, key: &str) -> &'a Yaml {
        let service = &self.0["services"][service];
        if service[key].is_badvalue() { &service["<<"][key] } else { &service[key] }
    }

    /// The words of a service's command.
    fn command(&self, service: &str) -> Vec<String> {
        texts(self.of(service, "command"))
    }

    /// The value that a command gives to an option.
    fn option(&self, service: &str, option: &str) -> String {
        let words = self.command(service);
        let at = words.iter().position(|word| word == option).unwrap_or_else(|| panic!("{service} has no {option}"));
        words[at + 1].clone()
    }

    fn stop_grace_period(&self, service: &str) -> Duration {
        let period = text(self.of(service, "stop_grace_period"));
        Duration::from_secs(period.strip_suffix('s').and_then(|seconds| seconds.parse().ok()).expect("seconds, such as 50s"))
    }
}

const SITES: [&str; 2] = ["site1", "site2"];

/// A container of one of the services, which may be stopped and started again.
struct Service<'a> {
    compose: &'a Compose,
    name: &'static str,
    container: Container,
    process: Option<Process>,
}

impl<'a> Service<'a> {
    fn new(compose: &'a Compose, name: &'static str) -> Service<'a> {
        Service { compose, name, container: Container::new(&processes()), process: None }
    }

    fn start(&mut self) {
        let command = self.container.command(&self.compose.command(self.name));
        self.process = Some(Process::start(command));
    }

    /// As `docker stop`. A panic where it has to be killed.
    fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        let killed_at = Instant::now() + self.compose.stop_grace_period(self.name);
        process.terminate();
        ends_by_itself(&mut process, killed_at);
    }

    /// Whether its health check succeeds now.
    fn is_healthy(&mut self) -> bool {
        let test = texts(&self.compose.of(self.name, "healthcheck")["test"]);
        let ["CMD", "python3", words @ ..] = &test.iter().map(String::as_str).collect::<Vec<_>>()[..] else { panic!("{test:?}") };
        let inside = self.compose.option(self.name, "--stats");
        let here = self.container.here(&inside);
        assert!(words.iter().any(|word| word.contains(&inside)), "the health check asks elsewhere than {inside}");
        let checked = Command::new(PYTHON).args(words.iter().map(|word| word.replace(&inside, &here))).output().expect("Python");
        checked.status.success()
    }

    fn socket(&self) -> Address {
        Address::Unix(self.container.path(&self.compose.option(self.name, "--http")))
    }

    /// Whether it is the one that answers, through whomever.
    fn has_answered(&self, pid: &str) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default();
        self.process.as_ref().is_some_and(|process| process.id().to_string() == parent.trim())
    }
}

#[test]
fn the_schema_of_compose_knows_every_field() {
    let Some(validators) = venv::validators() else { return };
    validate(validators, "check-jsonschema", &["--builtin-schema", "vendor.compose-spec"], "compose/compose.yaml");
}

#[test]
fn its_parts_find_each_other() {
    let compose = Compose::read();
    let folder = example::folder().join("compose");
    let nginx = example::Example::read("nginx/several_upstreams.conf");
    let (user, _) = Dockerfile::read().user();
    for site in SITES {
        let build = compose.of(site, "build");
        let context = folder.join(text(&build["context"])).canonicalize().expect("a folder");
        assert_eq!(context, crate::files::repository().canonicalize().expect("a folder"));
        assert!(context.join(text(&build["dockerfile"])).is_file());
        assert!(text(compose.of(site, "user")).starts_with(&format!("{user}:")), "the image's user");
        assert_eq!(compose.of(site, "read_only").as_bool(), Some(true));
        assert_eq!((texts(compose.of(site, "cap_drop")), texts(compose.of(site, "tmpfs"))), (vec!["ALL".into()], vec!["/tmp".into()]));
        // nginx knows the socket, and both have the folder in which it is.
        let socket = compose.option(site, "--http");
        assert!(nginx.text().contains(&format!("server unix:{socket} ")), "nginx does not know {socket}");
        assert!(texts(compose.of(site, "volumes")).contains(&"sockets:/run/site".to_owned()) && socket.starts_with("/run/site/"));
        assert_eq!(text(&compose.of("nginx", "depends_on")[site]["condition"]), "service_healthy");
        let graceful = Duration::from_secs(compose.option(site, "--graceful-timeout").parse().expect("seconds"));
        let needed = longest_end(graceful) + Duration::from_secs(5);
        assert!(compose.stop_grace_period(site) >= needed, "{needed:?} with a margin, and it is killed before");
        let period = compose.stop_grace_period(site).as_secs();
        assert_eq!(told("`terminationGracePeriodSeconds`, `stop_grace_period`")[1], format!("{period} s"));
    }
    let group = text(compose.of(SITES[0], "user")).split_once(':').expect("a group").1.to_owned();
    let options = text(&compose.0["volumes"]["sockets"]["driver_opts"]["o"]);
    assert!(options.starts_with(&format!("uid={user},gid={group},")), "{options}: who runs the server cannot make sockets there");
    let mounts = texts(compose.of("nginx", "volumes"));
    assert!(mounts.contains(&"sockets:/run/site".to_owned()));
    for mount in mounts.iter().filter(|mount| mount.starts_with('.')) {
        let (here, there) = mount.split_once(':').expect("a mount");
        // The certificate is the operator's.
        assert!(here.starts_with("./site.") || folder.join(here).exists(), "{here} is not there");
        let there = there.trim_end_matches(":ro");
        assert!(there.ends_with("default.conf") || nginx.text().contains(there), "nginx does not look at {there}");
    }
    let checked = texts(&compose.of("nginx", "healthcheck")["test"]);
    let path = checked.last().and_then(|url| url.strip_prefix("http://127.0.0.1/static/")).expect("a static file");
    assert!(folder.join("../container/site/static").join(path).is_file());
    assert!(list(&compose.0["services"]["nginx"]["ports"]).len() == 2 && text(compose.of("nginx", "image")).starts_with("nginx:1."));
}

#[test]
fn one_container_after_the_other_is_replaced_and_no_request_is_lost() {
    if !can_start(&NGINX_SEVERAL) {
        return;
    }
    let _alone = alone();
    let compose = Compose::read();
    let mut services = SITES.map(|name| Service::new(&compose, name));
    for service in &mut services {
        assert!(!service.is_healthy(), "it does not run yet");
        service.start();
        eventually("it is healthy", || service.is_healthy());
    }
    let Address::Unix(socket) = services[0].socket() else { panic!("a Unix socket") };
    let seen = answer(Wire::unix(&socket).expect("it listens"), &Request::get("/")).expect("an answer");
    assert!(services[0].has_answered(&seen.text()));
    let site = Setup::of(&NGINX_SEVERAL).behind(services.iter().map(Service::socket).collect()).start();
    let load = Load::start(site.address(), "/sleep/20", CLIENTS);
    load.wait_for(100);
    for service in &mut services {
        service.stop();
        load.wait_for(50);
        service.start();
        eventually("it is healthy", || service.is_healthy());
        // nginx leaves it alone for a while.
        eventually("nginx asks it again", || service.has_answered(&Browser::new(site.address()).get("/").text()));
    }
    load.wait_for(50);
    let tally = load.finish();
    assert_eq!(tally.failures, [], "of {}: {}", tally.answered, site.said());
}
