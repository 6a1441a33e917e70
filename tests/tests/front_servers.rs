//! Real web servers in front of the real server, with the configurations of `examples/deploy/`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use wsgi_tests::DEADLINE;
use wsgi_tests::client::Wire;
use wsgi_tests::column::{Body, Conversation, Request};
use wsgi_tests::front::checks::{self, lines};
use wsgi_tests::front::django::Project;
use wsgi_tests::front::example::Example;
use wsgi_tests::front::site::{Setup, Site, can_start, on_site};
use wsgi_tests::front::table::{self, Pair, Protocol};
use wsgi_tests::front::upstream::App;
use wsgi_tests::front::{example, installed, upstream};
use wsgi_tests::process::{Process, serve_program};

macro_rules! pairs {
    ($($name:ident: $pair:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                checks::run(&table::$pair);
            }
        )*
    };
}

pairs! {
    nginx_with_http: NGINX_HTTP,
    nginx_with_uwsgi: NGINX_UWSGI,
    nginx_with_fastcgi: NGINX_FASTCGI,
    nginx_with_scgi: NGINX_SCGI,
    apache_with_http: APACHE_HTTP,
    apache_with_uwsgi: APACHE_UWSGI,
    apache_with_fastcgi: APACHE_FASTCGI,
    apache_with_scgi: APACHE_SCGI,
    lighttpd_with_http: LIGHTTPD_HTTP,
    lighttpd_with_uwsgi: LIGHTTPD_UWSGI,
    lighttpd_with_fastcgi: LIGHTTPD_FASTCGI,
    lighttpd_with_scgi: LIGHTTPD_SCGI,
    haproxy_with_http: HAPROXY_HTTP,
    haproxy_with_fastcgi: HAPROXY_FASTCGI,
    caddy_with_http: CADDY_HTTP,
    caddy_with_fastcgi: CADDY_FASTCGI,
}

#[test]
fn django_behind_each_of_them() {
    let Some(project) = Project::prepare() else { return };
    let mut failures = Vec::new();
    for pair in table::ALL.iter().filter(|pair| can_start(pair)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| project.behind(pair, false))) {
            failures.push(format!("{:?} with {:?}: {}", pair.front, pair.protocol, checks::reason(&*panic)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// What most sites with uWSGI have: `chdir`, `home`, `module` and `socket` in an ini file, behind nginx, which serves the static files.
#[test]
fn django_by_an_ini_file_behind_nginx() {
    if !can_start(&table::NGINX_UWSGI) {
        return;
    }
    if let Some(project) = Project::prepare() {
        project.behind(&table::NGINX_UWSGI, true);
    }
}

#[test]
fn every_example_is_started_by_a_test() {
    let mut known: Vec<&str> = table::ALL.iter().map(|pair| pair.config).collect();
    known.extend([table::NGINX_SEVERAL.config, "systemd/site.service", "systemd/site.socket", "README.md"]);
    // Those of `deployments.rs`.
    known.extend(["container/Dockerfile", "container/Dockerfile.dockerignore", "kubernetes/site.yaml", "compose/compose.yaml"]);
    known.extend(["systemd/site@.service", "systemd/site@.socket", "systemd/shop.ini"]);
    // By `machines.rs`.
    known.extend(["nginx/several_machines.conf", "haproxy/several_machines.cfg"]);
    let mut found = Vec::new();
    let mut folders = vec![example::folder()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            match entry.is_dir() {
                // A project, which belongs to the Dockerfile.
                true if entry.ends_with("container/site") => {}
                true => folders.push(entry),
                false => found.push(entry.strip_prefix(example::folder()).expect("a file in it").to_str().expect("UTF-8").to_owned()),
            }
        }
    }
    found.sort();
    known.sort();
    assert_eq!(found, known);
    let readme = std::fs::read_to_string(example::folder().join("README.md")).expect("a file");
    let missing: Vec<_> = known.iter().filter(|name| **name != "README.md" && !readme.contains(&format!("]({name})"))).collect();
    assert!(missing.is_empty(), "the README does not link to {missing:?}");
}

/// Whose answer it is.
fn who(site: &Site) -> String {
    let seen = site.ask(Request::get("/environ"));
    assert_eq!(seen.code(), 200, "{}\n{}", seen.text(), site.said());
    lines(&seen.text())["pid"].to_owned()
}

#[test]
fn nginx_writes_what_the_application_logs_to_its_own_log() {
    if !can_start(&table::NGINX_FASTCGI) {
        return;
    }
    let mut app = App::fixture();
    app.options.push("--fastcgi-stderr".into());
    let site = Setup::of(&table::NGINX_FASTCGI).app(app).start();
    assert_eq!(site.ask(Request::get("/fails-before")).code(), 500);
    let seen = std::fs::read_to_string(site.folder().join("error.log")).expect("a log");
    for part in [
        "[error]",
        "FastCGI sent in stderr: \"exception in application: GET /fails-before\n",
        "RuntimeError: fails before it starts a response\"",
        "request: \"GET /fails-before ",
    ] {
        assert!(seen.contains(part), "{part:?} is not in {seen}");
    }
    let said = site.upstreams[0].said();
    assert!(!said.contains("RuntimeError"), "{said}");
}

#[test]
fn apache_lighttpd_and_haproxy_do_that_too() {
    // As the README of the examples says it. Caddy 2.6 has a setting for it too, which does nothing.
    const HAPROXY: (&str, &str) = ("\nfcgi-app site\n", "\nfcgi-app site\n    log-stderr global\n");
    for (pair, told) in [(&table::APACHE_FASTCGI, None), (&table::LIGHTTPD_FASTCGI, None), (&table::HAPROXY_FASTCGI, Some(HAPROXY))] {
        if !can_start(pair) {
            continue;
        }
        let mut app = App::fixture();
        app.options.push("--fastcgi-stderr".into());
        let mut setup = Setup::of(pair).app(app);
        if let Some((what, with)) = told {
            setup = setup.edit(what, with);
        }
        let site = setup.start();
        assert_eq!(site.ask(Request::get("/fails-before")).code(), 500);
        let end = Instant::now() + DEADLINE;
        while !site.said().contains("RuntimeError: fails before") {
            assert!(Instant::now() < end, "{:?}: {}", pair.front, site.said());
            std::thread::yield_now();
        }
        assert!(!site.upstreams[0].said().contains("RuntimeError"), "{:?}: {}", pair.front, site.said());
    }
}

#[test]
fn nginx_asks_another_server_when_one_is_down() {
    if !can_start(&table::NGINX_SEVERAL) {
        return;
    }
    let mut site = Setup::of(&table::NGINX_SEVERAL).start();
    let mut asked: Vec<String> = (0..10).map(|_| who(&site)).collect();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 2, "one of the two servers is never asked");

    drop(site.upstreams.remove(0));
    let left: Vec<String> = (0..10).map(|_| who(&site)).collect();
    assert!(left.iter().all(|pid| *pid == left[0]), "{left:?}");
}

#[test]
fn nginx_sends_no_post_to_another_server() {
    if !can_start(&table::NGINX_SEVERAL) {
        return;
    }
    let site = Setup::of(&table::NGINX_SEVERAL).start();
    // It ends the server that it comes to. If it came to both, nobody would be left.
    assert_eq!(site.ask(Request::post("/dies", "")).code(), 502);
    who(&site);
}

/// nginx's examples for an application below `/shop`, where nginx itself says so.
fn mounted_by_nginx(pair: &Pair, what: &str, with: &str) {
    if !can_start(pair) {
        return;
    }
    let site = Setup::of(pair).edit("location / {", "location /shop {").edit(what, with).start();
    for (target, path) in [("/shop/environ/a%20b", "/environ/a b"), ("/shop/environ", "/environ")] {
        let seen = site.ask(Request::get(target));
        assert_eq!(seen.code(), 200, "{}\n{}", seen.text(), site.said());
        let seen = lines(&seen.text());
        assert_eq!((&seen["SCRIPT_NAME"], &seen["PATH_INFO"]), ("/shop", path), "{target}");
        assert_eq!(seen["url"], format!("http://site.example{target}"));
    }
}

#[test]
fn nginx_says_by_a_modifier_of_uwsgi_where_the_application_is_mounted() {
    let with = "include uwsgi_params;\n uwsgi_param SCRIPT_NAME /shop;\n uwsgi_modifier1 30;";
    mounted_by_nginx(&table::NGINX_UWSGI, "include uwsgi_params;", with);
}

#[test]
fn nginx_splits_the_path_for_fastcgi() {
    let with = "fastcgi_split_path_info ^(/shop)(.*)$;\n fastcgi_param PATH_INFO $fastcgi_path_info;\n include fastcgi_params;";
    mounted_by_nginx(&table::NGINX_FASTCGI, "include fastcgi_params;", with);
}

#[test]
fn nginx_says_by_scgi_where_the_application_is_mounted() {
    let what = "scgi_param SCRIPT_NAME \"\";\n        scgi_param PATH_INFO $document_uri;";
    mounted_by_nginx(&table::NGINX_SCGI, what, "scgi_param SCRIPT_NAME /shop;");
}

/// An upload whose first half reaches the application before the client sends the second, with nginx's buffers off.
fn upload_in_halves(pair: &Pair, option: &str) {
    if !can_start(pair) {
        return;
    }
    let location = format!("location / {{\n {option} off;");
    let site = Setup::of(pair).edit("location / {", &location).start();
    let half = vec![b'x'; HALF];
    let mut client = site.client();
    client.send(&on_site(Request::new("POST", &halves()).body(Body::Later(Some(2 * HALF as u64))))).unwrap();
    client.send_body(&half).unwrap();
    assert_eq!(site.ask(Request::get("/half?name=a")).text(), "it came\n");
    client.send_body(&half).unwrap();
    assert_eq!(client.reply().text(), format!("{HALF} {HALF} {}\n", 2 * HALF), "{}", site.said());
}

/// An upload whose length nobody says before its end, since nginx's buffers are off. The application gets it with a length.
fn upload_of_unknown_length(pair: &Pair, option: &str) {
    if !can_start(pair) {
        return;
    }
    let location = format!("location / {{\n {option} off;");
    let site = Setup::of(pair).edit("location / {", &location).start();
    let body = Body::Chunked(vec![vec![b'x'; HALF], vec![b'y'; HALF]]);
    let seen = site.ask(Request::new("POST", &halves()).body(body));
    assert_eq!(seen.text(), format!("{HALF} {HALF} {}\n", 2 * HALF), "{}", site.said());
}

fn halves() -> String {
    format!("/upload-in-halves?name=a&half={HALF}")
}

/// More than the server reads before it asks the application.
const HALF: usize = 300_000;

#[test]
fn nginx_passes_an_upload_on_as_it_comes_by_http() {
    upload_in_halves(&table::NGINX_HTTP, "proxy_request_buffering");
}

#[test]
fn nginx_passes_an_upload_on_as_it_comes_by_uwsgi() {
    upload_in_halves(&table::NGINX_UWSGI, "uwsgi_request_buffering");
}

#[test]
fn nginx_passes_an_upload_on_as_it_comes_by_fastcgi() {
    upload_in_halves(&table::NGINX_FASTCGI, "fastcgi_request_buffering");
}

#[test]
fn nginx_passes_an_upload_of_unknown_length_on_by_http() {
    upload_of_unknown_length(&table::NGINX_HTTP, "proxy_request_buffering");
}

#[test]
fn nginx_passes_an_upload_of_unknown_length_on_by_fastcgi() {
    upload_of_unknown_length(&table::NGINX_FASTCGI, "fastcgi_request_buffering");
}

/// The units, with the values of a site that is there, in a folder.
fn units(folder: &Path) -> (Example, Example) {
    let (mut service, mut socket) = (Example::read("systemd/site.service"), Example::read("systemd/site.socket"));
    service.set("/usr/local/bin/serve", serve_program().to_str().expect("UTF-8"));
    service.set("mysite.wsgi", "fixture");
    service.set("--chdir /srv/site", &format!("--chdir {}", upstream::folder().display()));
    service.set(" --home /srv/site/venv", "");
    socket.set("/run/site/app.sock", folder.join("app.sock").to_str().expect("UTF-8"));
    std::fs::write(folder.join("site.service"), service.text()).expect("a file");
    std::fs::write(folder.join("site.socket"), socket.text()).expect("a file");
    (service, socket)
}

/// The value of a line `NAME=value`.
fn setting(unit: &Example, name: &str) -> String {
    unit.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).expect(name).to_owned()
}

#[test]
fn systemd_accepts_the_units() {
    if !installed("systemd-analyze", "systemd") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    units(folder.path());
    let mut command = Command::new("systemd-analyze");
    let verified = command.arg("verify").args(["site.service", "site.socket"].map(|name| folder.path().join(name))).output();
    let verified = verified.expect("systemd-analyze");
    // Keys that it does not know are no error to it, but it names them.
    assert_eq!((verified.status.success(), String::from_utf8_lossy(&verified.stderr).as_ref()), (true, ""));
}

#[test]
fn the_command_of_the_service_serves_the_socket_that_systemd_made() {
    if !installed("systemd-socket-activate", "systemd") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (service, socket) = units(folder.path());
    let path = setting(&socket, "ListenStream");
    let mut command = Command::new("systemd-socket-activate");
    command.args(["--listen", &path]).args(setting(&service, "ExecStart").split(' '));
    let mut process = Process::start(command);
    process.line_with(&format!("Listening on {path}"));
    // It is the first client that has the server started.
    let mut client = Wire::unix(Path::new(&path)).expect("a connection");
    client.send(&on_site(Request::get("/environ"))).unwrap();
    let seen = lines(&client.reply().text());
    let parent = std::fs::read_to_string(format!("/proc/{}/status", &seen["pid"])).expect("a worker");
    let parent = parent.lines().find_map(|line| line.strip_prefix("PPid:")).expect("PPid").trim();
    assert_eq!(parent, process.id().to_string(), "systemd-socket-activate becomes the master");
    process.terminate();
    assert!(process.wait().status.success());
}

#[test]
fn cgi_fcgi_gets_a_page_and_posts_a_body() {
    if !installed("cgi-fcgi", "libfcgi-bin") || !can_start(&table::NGINX_FASTCGI) {
        return;
    }
    // Past the web server, to the socket itself.
    let site = Setup::of(&table::NGINX_FASTCGI).start();
    assert_eq!(table::NGINX_FASTCGI.protocol, Protocol::FastCgi);
    let ask = |variables: &[(&str, &str)], body: &str| {
        let input = site.folder().join("input");
        std::fs::write(&input, body).expect("a file");
        let mut command = Command::new("cgi-fcgi");
        command.args(["-bind", "-connect", &site.upstreams[0].address.to_string()]).env_clear().envs(variables.iter().copied());
        let said = command.stdin(std::fs::File::open(input).expect("a file")).output().expect("cgi-fcgi");
        assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
        String::from_utf8(said.stdout).expect("UTF-8")
    };
    let page = ask(&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", ""), ("PATH_INFO", "/environ"), ("QUERY_STRING", "a=1")], "");
    assert!(page.starts_with("Status: 200 OK\r\n") && page.contains("\nQUERY_STRING=a=1\n"), "{page}");
    let variables = [("REQUEST_METHOD", "POST"), ("SCRIPT_NAME", "/upload"), ("CONTENT_LENGTH", "9")];
    assert!(ask(&variables, "some body").contains("\nlength=9\n"));
}
