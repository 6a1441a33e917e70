//! The manifest of Kubernetes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wsgi_tests::client::Wire;
use wsgi_tests::column::{Body, Conversation, Request};
use wsgi_tests::eventually;
use wsgi_tests::load::{Failure, Load};
use wsgi_tests::process::Process;
use wsgi_tests::venv;

use crate::container::{Container, WRITES, can_confine, processes};
use crate::files::{list, longest_end, number, text, texts, told, validate};
use crate::image::Dockerfile;
use crate::kubelet::{Endpoints, Manifest, Pod};

/// Tests with many clients run one at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static LOAD: Mutex<()> = Mutex::new(());
    LOAD.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) const CLIENTS: usize = 16;

#[test]
fn the_schemas_of_kubernetes_know_every_field() {
    let Some(validators) = venv::validators() else { return };
    // The oldest that the manifest says it needs, and one of today's.
    for version in ["1.30", "1.37"] {
        validate(validators, "kubernetes-validate", &["--strict", "--kubernetes-version", version], "kubernetes/site.yaml");
    }
}

#[test]
fn the_objects_find_each_other() {
    let manifest = Manifest::read();
    let labels = &manifest.template()["metadata"]["labels"];
    assert!(!labels.is_badvalue());
    for selector in [
        &manifest.object("Deployment")["spec"]["selector"]["matchLabels"],
        &manifest.object("Service")["spec"]["selector"],
        &manifest.object("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        &list(&manifest.pod()["topologySpreadConstraints"])[0]["labelSelector"]["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }
    let [port] = list(&manifest.object("Service")["spec"]["ports"]) else { panic!("expected one port") };
    assert_eq!(format!(":{}", manifest.port(&port["targetPort"])), manifest.setting("http"));
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(format!(":{}", manifest.port(&manifest.container()[probe]["httpGet"]["port"])), manifest.setting("stats"), "{probe}");
    }
    assert!(!manifest.mounted("/tmp").0["emptyDir"].is_badvalue());
}

#[test]
fn it_takes_no_more_than_it_needs() {
    let manifest = Manifest::read();
    let (user, group) = Dockerfile::read().user();
    let pod = &manifest.pod()["securityContext"];
    assert_eq!((number(&pod["runAsUser"]), number(&pod["runAsGroup"])), (u64::from(user), u64::from(group)));
    assert_eq!((pod["runAsNonRoot"].as_bool(), text(&pod["seccompProfile"]["type"])), (Some(true), "RuntimeDefault".to_owned()));
    let container = &manifest.container()["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"].as_bool(), Some(false));
    assert_eq!(container["readOnlyRootFilesystem"].as_bool(), Some(true));
    assert_eq!(texts(&container["capabilities"]["drop"]), ["ALL"]);
    let resources = &manifest.container()["resources"];
    for (kind, what) in [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")] {
        assert!(!text(&resources[kind][what]).is_empty());
    }
}

#[test]
fn the_time_for_its_end_holds_all_that_may_happen_in_it() {
    let manifest = Manifest::read();
    let graceful = Duration::from_secs(manifest.setting("graceful-timeout").parse().expect("seconds"));
    let harakiri = Duration::from_secs(manifest.setting("harakiri").parse().expect("seconds"));
    assert!(harakiri < graceful, "a request may take longer than the server waits for it");
    let needed = manifest.pre_stop() + longest_end(graceful);
    assert!(manifest.budget() >= needed + Duration::from_secs(5), "{needed:?} and no margin in {:?}", manifest.budget());
    assert_eq!(told("`terminationGracePeriodSeconds`, `stop_grace_period`")[0], format!("{} s", manifest.budget().as_secs()));
    assert_eq!(told("for requests that run (`--graceful-timeout`)")[0], format!("{} s", graceful.as_secs()));
    let rolling = &manifest.object("Deployment")["spec"]["strategy"]["rollingUpdate"];
    assert_eq!(number(&rolling["maxUnavailable"]), 0);
    assert!(number(&rolling["maxSurge"]) > 0);
}

#[test]
fn the_server_takes_the_ini_file() {
    let manifest = Manifest::read();
    let mut container = Container::empty();
    let (path, ini) = manifest.ini();
    container.ini(&path, &ini);
    let file = container.path(&path);
    let said = Process::serve([std::ffi::OsStr::new("--check"), file.as_os_str()]).wait();
    assert!(said.status.success(), "{}", said.stdout);
    // A line of which nothing would become would be a line too much.
    assert!(said.stdout.lines().rev().skip(1).all(|line| line.contains(": honoured: ")), "{}", said.stdout);
}

#[test]
fn probes_tell_how_it_is_and_prometheus_finds_figures() {
    let manifest = Manifest::read();
    let slow = format!("import time\ntime.sleep(1)\n{}", processes());
    let mut pod = Pod::start(&manifest, &slow, &[]);
    assert!(!pod.passes("startupProbe"), "it cannot have started yet");
    pod.wait_until_ready();
    let figures = pod.figures();
    assert!(figures.contains("wsgi_requests_total{"), "{figures}");
    // A request under way holds its end up. Whoever asks meanwhile hears that it is ending, but not that it should be killed.
    let mut client = Wire::tcp(pod.http()).expect("a connection");
    client.send(&Request::get("/sleep/3000")).expect("it is taken");
    pod.wait_until_busy();
    let killed_at = Instant::now() + manifest.budget() - manifest.pre_stop();
    pod.terminate();
    eventually("it wants no requests any more", || !pod.passes("readinessProbe"));
    assert!(pod.passes("livenessProbe"), "it would be killed");
    assert_eq!(client.reply().code(), 200);
    pod.wait(killed_at);
}

#[test]
fn a_rolling_update_loses_no_request() {
    let _alone = alone();
    let manifest = Manifest::read();
    let application = processes();
    let start = || {
        let mut pod = Pod::start(&manifest, &application, &[]);
        pod.wait_until_ready();
        pod
    };
    let endpoints = Endpoints::default();
    let mut old = vec![start(), start()];
    old.iter_mut().for_each(|pod| endpoints.add(pod));
    let everybody = endpoints.clone();
    let load = Load::choosing(move || everybody.choose(), "/sleep/20", CLIENTS);
    load.wait_for(100);
    let mut new = Vec::new();
    for pod in old {
        let mut next = start();
        endpoints.add(&mut next);
        load.wait_for(50);
        pod.delete(&endpoints);
        new.push(next);
    }
    load.wait_for(50);
    let tally = load.finish();
    let said: String = new.iter().map(Pod::said).collect();
    assert_eq!(tally.failures, [], "of {}: {said}", tally.answered);
}

/// That the test above can fail, and what `preStop` is for.
#[test]
fn without_prestop_whoever_has_not_heard_of_the_end_is_refused() {
    let _alone = alone();
    let manifest = Manifest::read();
    let mut pod = Pod::start(&manifest, &processes(), &[]);
    pod.wait_until_ready();
    let endpoints = Endpoints::default();
    endpoints.add(&mut pod);
    let load = Load::choosing(move || endpoints.choose(), "/sleep/20", CLIENTS);
    load.wait_for(50);
    pod.terminate();
    pod.wait(Instant::now() + manifest.budget() - manifest.pre_stop());
    let tally = load.finish();
    assert!(tally.failures.contains(&Failure::Refused), "{:?}", tally.failures);
}

#[test]
fn one_that_hangs_ends_by_itself_before_it_is_killed() {
    let manifest = Manifest::read();
    // As in the manifest, with one second instead of its twenty.
    let graceful = Duration::from_secs(1);
    let application = "\
import threading


def application(environ, start_response):
    threading.Thread(target=threading.Event().wait).start()
    threading.Event().wait()
";
    let mut pod = Pod::start(&manifest, application, &["--graceful-timeout", "1"]);
    pod.wait_until_ready();
    let mut client = Wire::tcp(pod.http()).expect("a connection");
    client.send(&Request::get("/")).expect("it is taken");
    pod.wait_until_busy();
    let usual = Duration::from_secs(manifest.setting("graceful-timeout").parse().expect("seconds"));
    let margin = manifest.budget() - manifest.pre_stop() - longest_end(usual);
    pod.terminate();
    pod.wait(Instant::now() + longest_end(graceful) + margin);
}

#[test]
fn a_read_only_file_system_is_enough() {
    if !can_confine() {
        return;
    }
    let manifest = Manifest::read();
    let mut pod = Pod::start_confined(&manifest, WRITES);
    pod.wait_until_ready();
    let port = manifest.port(&list(&manifest.object("Service")["spec"]["ports"])[0]["targetPort"]);
    // Of unknown length, so that the server keeps it in a file of its own first.
    let upload = Request::new("POST", "/").body(Body::Chunked(vec![vec![b'x'; 500_000]; 4]));
    let seen = pod.container().ask(port, &upload).expect("an answer");
    assert_eq!(seen.text(), "2000000 Read-only file system", "{}", pod.said());
    pod.terminate();
    pod.wait(Instant::now() + manifest.budget() - manifest.pre_stop());
}
