//! What Kubernetes does with a pod, in miniature: starts it as the manifest says, asks its probes, and ends it in the order of events that make
//! requests fail where the manifest is wrong.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wsgi_tests::eventually;
use wsgi_tests::process::Process;
use yaml_rust2::Yaml;

use crate::container::{Container, confined, ends_by_itself};
use crate::files::{documents, list, named, number, text, texts};

/// The manifest.
pub(crate) struct Manifest(Vec<Yaml>);

impl Manifest {
    pub(crate) fn read() -> Manifest {
        Manifest(documents("kubernetes/site.yaml"))
    }

    /// The one object of this kind.
    pub(crate) fn object(&self, kind: &str) -> &Yaml {
        let mut of_kind = self.0.iter().filter(|object| object["kind"].as_str() == Some(kind));
        let object = of_kind.next().unwrap_or_else(|| panic!("there is no {kind}"));
        assert!(of_kind.next().is_none(), "there is more than one {kind}");
        object
    }

    /// What each pod is made from.
    pub(crate) fn template(&self) -> &Yaml {
        &self.object("Deployment")["spec"]["template"]
    }

    /// The specification of each pod.
    pub(crate) fn pod(&self) -> &Yaml {
        &self.template()["spec"]
    }

    /// That of its only container.
    pub(crate) fn container(&self) -> &Yaml {
        let [container] = list(&self.pod()["containers"]) else { panic!("expected one container") };
        container
    }

    /// From the deletion of a pod until it is killed.
    pub(crate) fn budget(&self) -> Duration {
        Duration::from_secs(number(&self.pod()["terminationGracePeriodSeconds"]))
    }

    /// How long `preStop` sleeps.
    pub(crate) fn pre_stop(&self) -> Duration {
        Duration::from_secs(number(&self.container()["lifecycle"]["preStop"]["sleep"]["seconds"]))
    }

    /// The number of the port that a probe, a Service or an annotation names, or says itself.
    pub(crate) fn port(&self, named_or_number: &Yaml) -> u16 {
        let port = match named_or_number {
            Yaml::String(name) => number(&named(&self.container()["ports"], name)["containerPort"]),
            other => number(other),
        };
        port.try_into().expect("a port")
    }

    /// The volume that is mounted where this path is, and the path in it.
    pub(crate) fn mounted<'a>(&'a self, path: &'a str) -> (&'a Yaml, &'a str) {
        let mounts = list(&self.container()["volumeMounts"]).iter();
        let mut found = mounts.filter_map(|mount| {
            let inside = path.strip_prefix(mount["mountPath"].as_str()?)?;
            Some((named(&self.pod()["volumes"], mount["name"].as_str()?), inside.trim_start_matches('/')))
        });
        found.next().unwrap_or_else(|| panic!("no volume is mounted at {path}"))
    }

    /// The ini file that is the only argument.
    pub(crate) fn ini(&self) -> (String, String) {
        let arguments = texts(&self.container()["args"]);
        let [path] = &arguments[..] else { panic!("{arguments:?}") };
        let (volume, key) = self.mounted(path);
        let map = self.object("ConfigMap");
        assert_eq!(volume["configMap"]["name"], map["metadata"]["name"]);
        (path.clone(), text(&map["data"][key]))
    }

    /// The value of a line of the ini file.
    pub(crate) fn setting(&self, key: &str) -> String {
        let (_, ini) = self.ini();
        let value = ini.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        value.unwrap_or_else(|| panic!("the ini file does not say {key}")).to_owned()
    }
}

/// The addresses that requests are sent to, as every node knows them.
#[derive(Clone, Default)]
pub(crate) struct Endpoints(Arc<(Mutex<Vec<SocketAddr>>, AtomicUsize)>);

impl Endpoints {
    /// The next one in turn.
    pub(crate) fn choose(&self) -> SocketAddr {
        let addresses = self.0.0.lock().expect("no panic while it is held");
        addresses[self.0.1.fetch_add(1, Ordering::Relaxed) % addresses.len()]
    }

    /// Takes a pod in that is ready.
    pub(crate) fn add(&self, pod: &mut Pod) {
        self.0.0.lock().expect("no panic while it is held").push(pod.http());
    }

    fn remove(&self, gone: SocketAddr) {
        self.0.0.lock().expect("no panic while it is held").retain(|address| *address != gone);
    }
}

/// A pod that runs.
pub(crate) struct Pod<'a> {
    manifest: &'a Manifest,
    container: Container,
    process: Process,
}

impl<'a> Pod<'a> {
    /// Starts a pod with this application, and these words behind the arguments of the manifest.
    pub(crate) fn start(manifest: &'a Manifest, application: &str, more: &[&str]) -> Pod<'a> {
        let (mut container, arguments) = Pod::prepare(manifest, application, more);
        let command = container.command(&arguments);
        Pod { manifest, process: Process::start(command), container }
    }

    /// The same with nothing to write to but what the manifest mounts, and without privileges.
    pub(crate) fn start_confined(manifest: &'a Manifest, application: &str) -> Pod<'a> {
        let (mut container, arguments) = Pod::prepare(manifest, application, &[]);
        let mounts = list(&manifest.container()["volumeMounts"]).iter().filter(|mount| mount["readOnly"].as_bool() != Some(true));
        let writable: Vec<PathBuf> = mounts.map(|mount| container.path(&text(&mount["mountPath"]))).collect();
        let command = container.command(&arguments);
        Pod { manifest, process: Process::start(confined(&command, &writable)), container }
    }

    fn prepare(manifest: &Manifest, application: &str, more: &[&str]) -> (Container, Vec<String>) {
        let mut container = Container::new(application);
        let (path, ini) = manifest.ini();
        container.ini(&path, &ini);
        let arguments = [path].into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect();
        (container, arguments)
    }

    /// Its container.
    pub(crate) fn container(&mut self) -> &mut Container {
        &mut self.container
    }

    /// Where it answers those whom the Service sends.
    pub(crate) fn http(&mut self) -> SocketAddr {
        let ports = &self.manifest.object("Service")["spec"]["ports"];
        self.container.port(self.manifest.port(&list(ports)[0]["targetPort"]))
    }

    /// Whether a probe succeeds now, by kubelet's rule.
    pub(crate) fn passes(&mut self, probe: &str) -> bool {
        let get = &self.manifest.container()[probe]["httpGet"];
        let (port, path) = (self.manifest.port(&get["port"]), text(&get["path"]));
        self.container.get(port, &path).is_some_and(|seen| (200..400).contains(&seen.code()))
    }

    /// Waits until it is to get requests.
    pub(crate) fn wait_until_ready(&mut self) {
        eventually("it has started", || {
            assert_eq!(self.process.ended(), None);
            self.passes("startupProbe")
        });
        assert!(self.passes("readinessProbe") && self.passes("livenessProbe"));
    }

    /// What Prometheus would read, where the annotations lead it.
    pub(crate) fn figures(&mut self) -> String {
        let annotations = &self.manifest.template()["metadata"]["annotations"];
        assert_eq!(text(&annotations["prometheus.io/scrape"]), "true");
        let port = text(&annotations["prometheus.io/port"]).parse().expect("a port");
        self.container.get(port, &text(&annotations["prometheus.io/path"])).expect("figures").text()
    }

    /// Waits until a request runs.
    pub(crate) fn wait_until_busy(&mut self) {
        eventually("a thread is busy", || {
            let figures = self.figures();
            let busy = figures.lines().filter(|line| line.starts_with("wsgi_busy_threads{"));
            busy.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() > 0.0
        });
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        self.process.stderr()
    }

    /// Deletes it, as Kubernetes does: its address is taken out of the endpoints only after a while, and whatever becomes of that, `preStop` runs,
    /// and then it gets TERM. A panic where it would be killed.
    pub(crate) fn delete(mut self, endpoints: &Endpoints) {
        let killed_at = Instant::now() + self.manifest.budget();
        let address = self.http();
        std::thread::scope(|both| {
            both.spawn(|| {
                std::thread::sleep(HEARD_AFTER);
                endpoints.remove(address);
            });
            std::thread::sleep(self.manifest.pre_stop());
            self.terminate();
            self.wait(killed_at);
        });
    }

    /// Sends TERM.
    pub(crate) fn terminate(&self) {
        self.process.terminate();
    }

    /// Waits until it has ended by itself. A panic where it has to be killed.
    pub(crate) fn wait(mut self, killed_at: Instant) {
        ends_by_itself(&mut self.process, killed_at);
    }
}

/// How long it takes, here, until everybody has heard that a pod is to get no more requests.
const HEARD_AFTER: Duration = Duration::from_secs(5);
