//! The Dockerfile. There is no registry here to build it with, so that it is read: what it copies is there, what it starts does start.

use std::fs;
use std::process::Command;
use std::time::Duration;

use wsgi_tests::eventually;
use wsgi_tests::front::example::{self, Example};
use wsgi_tests::process::Process;
use yaml_rust2::YamlLoader;

use crate::container::Container;
use crate::files::{GRACEFUL_TIMEOUT, longest_end, repository, texts};

/// The Dockerfile's instructions.
pub(crate) struct Dockerfile(Vec<(String, String)>);

impl Dockerfile {
    pub(crate) fn read() -> Dockerfile {
        let example = Example::read("container/Dockerfile");
        let lines: Vec<&str> = example.text().lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let whole = lines.join("\n").replace("\\\n", " ");
        let instruction = |line: &str| {
            let (word, rest) = line.split_once(' ').unwrap_or_else(|| panic!("not an instruction: {line:?}"));
            (word.to_owned(), rest.trim().to_owned())
        };
        Dockerfile(whole.lines().filter(|line| !line.trim().is_empty()).map(instruction).collect())
    }

    /// What stands behind an instruction, each time it is there.
    fn all<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other == word).map(|(_, rest)| rest.as_str())
    }

    fn words(&self, instruction: &str) -> Vec<String> {
        let json = self.all(instruction).last().expect(instruction);
        // JSON is YAML.
        texts(&YamlLoader::load_from_str(json).unwrap_or_else(|error| panic!("{instruction} {json}: {error}"))[0])
    }

    /// The words of `ENTRYPOINT`, which is no shell's.
    pub(crate) fn entry_point(&self) -> Vec<String> {
        self.words("ENTRYPOINT")
    }

    /// The user and the group that the image runs as.
    pub(crate) fn user(&self) -> (u32, u32) {
        let (user, group) = self.all("USER").last().and_then(|text| text.split_once(':')).expect("USER user:group");
        (user.parse().expect("a number"), group.parse().expect("a number"))
    }

    /// The base images: those of `FROM` that are no stage.
    fn bases(&self) -> Vec<&str> {
        let mut stages = vec!["scratch"];
        let mut bases = Vec::new();
        for from in self.all("FROM") {
            let (image, stage) = from.split_once(" AS ").unwrap_or((from, ""));
            if !stages.contains(&image) {
                bases.push(image);
            }
            stages.push(stage);
        }
        bases
    }

    /// What is copied from the repository.
    fn sources(&self) -> Vec<&str> {
        let own = self.all("COPY").filter(|rest| !rest.starts_with("--from="));
        own.flat_map(|rest| rest.split(' ').rev().skip(1)).collect()
    }
}

#[test]
fn base_images_are_pinned_and_fit() {
    let dockerfile = Dockerfile::read();
    let mut found = Vec::new();
    for base in dockerfile.bases() {
        let (name, tag) = base.split_once(':').unwrap_or_else(|| panic!("{base} has no tag"));
        let (version, rest) = tag.split_once('-').expect("a version and a variant");
        let version: Vec<u32> =
            version.split('.').map(|part| part.parse().unwrap_or_else(|_| panic!("{base} names no full version"))).collect();
        assert_eq!(version.len(), 3, "{base} names no full version");
        found.push((name, version, rest));
    }
    let [("rust", rust, rust_on), ("python", python, python_on)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(rust_on, python_on, "what is built on another Debian may want another C library");
    assert!(*rust >= vec![1, 85, 0] && env!("CARGO_PKG_RUST_VERSION") == "1.85", "{rust:?} is older than this workspace's rust-version");
    assert!(python[0] == 3 && (10..=14).contains(&python[1]), "{python:?}");
}

#[test]
fn what_is_copied_is_there_and_is_a_whole_workspace() {
    let dockerfile = Dockerfile::read();
    let build = tempfile::tempdir().expect("a folder");
    let sources = dockerfile.sources();
    assert!(sources.len() > 5, "{sources:?}");
    for source in &sources {
        let path = repository().join(source);
        assert!(path.exists(), "{source} is not there");
        if !source.contains('/') {
            std::os::unix::fs::symlink(path, build.path().join(source)).expect("a link");
        }
    }
    for rest in dockerfile.all("COPY").filter_map(|rest| rest.strip_prefix("--from=")) {
        let stage = rest.split(' ').next().expect("a stage");
        assert!(dockerfile.all("FROM").any(|from| from.ends_with(&format!(" AS {stage}"))), "there is no stage {stage}");
    }
    // Cargo refuses a workspace of which a member is missing.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(build.path());
    let said = cargo.output().expect("cargo");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let built = dockerfile.all("RUN").find(|command| command.contains("cargo build")).expect("a build");
    assert!(built.contains("--locked --package wsgi-examples --bin serve"), "{built}");

    let ignored = Example::read("container/Dockerfile.dockerignore");
    for pattern in ignored.text().lines().filter(|line| !line.starts_with('#')) {
        let name = pattern.trim_start_matches("**/");
        assert!(sources.iter().all(|source| source.split('/').all(|part| part != name)), "{pattern} leaves out what is copied");
    }
}

#[test]
fn the_image_starts_and_ends_as_it_says() {
    let dockerfile = Dockerfile::read();
    let (user, group) = dockerfile.user();
    assert!(user > 0 && group > 0, "it runs as root");
    let mut container = Container::empty();
    let site = example::folder().join("container/site");
    for name in ["mysite/__init__.py", "mysite/wsgi.py", "requirements.txt"] {
        container.write(&format!("/srv/site/{name}"), &fs::read_to_string(site.join(name)).expect(name));
    }
    container.virtualenv("/srv/site");
    let command = container.command(&dockerfile.words("CMD"));
    let mut process = Process::start(command);
    process.line_with("listening on http://");
    let exposed: Vec<u16> = dockerfile.all("EXPOSE").flat_map(|ports| ports.split(' ')).map(|port| port.parse().expect("a port")).collect();
    let [http, stats] = exposed[..] else { panic!("{exposed:?}") };
    let page = container.get(http, "/").expect("an answer").text();
    assert!(page.starts_with("Hello from "), "{page}");
    eventually("it is ready", || container.get(stats, "/readyz").is_some_and(|seen| seen.code() == 200));
    process.terminate();
    let ended = process.wait();
    assert!(ended.status.success(), "{ended:?}");
    // The log of requests, for whoever collects what containers say.
    assert!(ended.stdout.contains("\"GET / HTTP/1.1\" 200"), "{}", ended.stdout);
}

#[test]
fn the_header_names_files_that_are_there_and_a_time_that_is_enough() {
    let example = Example::read("container/Dockerfile");
    for path in example.text().split_whitespace().filter(|word| word.starts_with("../") && word.ends_with(".yaml")) {
        assert!(example::folder().join("container").join(path).exists(), "{path} is not there");
    }
    let (_, rest) = example.text().split_once("--stop-timeout ").expect("docker run --stop-timeout");
    let seconds = rest.split(' ').next().and_then(|seconds| seconds.parse().ok()).expect("seconds");
    assert!(Duration::from_secs(seconds) > longest_end(GRACEFUL_TIMEOUT));
}
