//! What a Django site is asked through a web server: the site of the framework tests, set up as one sets it up there.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::checks::lines;
use super::site::{HOST, Setup, Site};
use super::table::{Pair, Protocol};
use super::upstream::{self, App};
use crate::browser::Browser;
use crate::column::Seen;
use crate::venv;

/// A Django site with a database, an account and collected static files.
pub struct Project {
    home: PathBuf,
    data: TempDir,
}

impl Project {
    /// Makes it, with Django's own commands; `None` where the frameworks are not installed and this is not CI.
    pub fn prepare() -> Option<Project> {
        let home = venv::frameworks()?.to_owned();
        let data = tempfile::tempdir().expect("a folder for data");
        // The web server, which may run as another user, reads static files in it.
        std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let project = Project { home, data };
        project.manage(&["migrate", "--verbosity", "0"]);
        project.manage(&["createsuperuser", "--noinput", "--username", "admin", "--email", "admin@example.test"]);
        project.manage(&["collectstatic", "--noinput", "--verbosity", "0"]);
        Some(project)
    }

    fn manage(&self, arguments: &[&str]) {
        let mut command = Command::new(self.home.join("bin/python"));
        command.args(["-m", "django"]).args(arguments).current_dir(upstream::folder()).envs(self.environment());
        command.env("PYTHONPATH", sites()).env("DJANGO_SUPERUSER_PASSWORD", PASSWORD).env("PYTHONDONTWRITEBYTECODE", "1");
        let output = command.output().expect("Django");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("DJANGO_SETTINGS_MODULE", "deployed.settings".into()),
            ("SITE_DATA", self.data.path().into()),
            ("SITE_STATIC", self.static_files().into()),
        ]
    }

    fn static_files(&self) -> PathBuf {
        self.data.path().join("static")
    }

    /// Asks all there is to ask through a pair. A panic at the first thing that is wrong. `by_file`: the server has its options from an ini file.
    pub fn behind(&self, pair: &Pair, by_file: bool) {
        let mut environment = self.environment();
        if pair.protocol == Protocol::Http {
            environment.push(("SITE_BEHIND_HTTP", "yes".into()));
        }
        let app = App {
            module: "deployed.wsgi",
            chdir: upstream::folder(),
            home: Some(self.home.clone()),
            by_file,
            options: vec!["--pythonpath".into(), sites().into()],
            environment,
            static_files: Some(self.static_files()),
        };
        let site = Setup::of(pair).app(app).start();
        admin(&site);
        files(&site, pair);
        client(&site, pair);
    }
}

/// The login page of the admin, its form, and a session.
fn admin(site: &Site) {
    let mut browser = Browser::new(site.address()).host(HOST);
    let seen = browser.get("/admin/");
    assert_eq!((seen.code(), seen.field("location")), (302, Some("/admin/login/?next=/admin/")));
    let login = browser.get("/admin/login/?next=/admin/");
    assert_eq!(login.code(), 200);
    let forged = browser.post("/admin/login/?next=/admin/", &[("username", "admin"), ("password", PASSWORD)]);
    assert_eq!(forged.code(), 403, "a form without its token");
    let fields = [("csrfmiddlewaretoken", token(&login)), ("username", "admin".to_owned()), ("password", PASSWORD.to_owned())];
    let right = browser.post("/admin/login/?next=/admin/", &fields.each_ref().map(|(name, value)| (*name, value.as_str())));
    assert_eq!((right.code(), right.field("location")), (302, Some("/admin/")));
    assert!(browser.get("/admin/").text().contains("Site administration"));
    let upload = browser.get("/form/");
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let uploaded = browser.upload("/upload/", &[("csrfmiddlewaretoken", &token(&upload)), ("note", "caf\u{e9}")], "x.bin", &content);
    assert!(uploaded.text().starts_with("3000000 "), "{}", uploaded.text());
    let back = browser.get("/download/");
    assert!(back.body() == content, "what comes back differs: {:?}", back.head);
    assert_eq!(back.field("content-disposition"), Some("attachment; filename*=utf-8''h%C3%A9llo.bin"));
}

/// What the login page links to, from the web server's own disk.
fn files(site: &Site, pair: &Pair) {
    let mut browser = Browser::new(site.address()).host(HOST);
    let seen = browser.get("/static/admin/css/base.css");
    if pair.serves_files() {
        assert_eq!(seen.code(), 200);
        assert!(seen.field("content-type").is_some_and(|kind| kind.starts_with("text/css")), "{:?}", seen.head);
        assert!(seen.text().contains("body"));
    } else {
        assert_eq!(seen.code(), 404);
    }
}

/// Who asks, and by which scheme, over both.
fn client(site: &Site, pair: &Pair) {
    let mut browser = Browser::new(site.address()).host(HOST);
    let seen = browser.get("/client/?a=%C3%A9");
    let (plain, secure) = (lines(&seen.text()), lines(&site.curl("/client/?a=%C3%A9", &[])));
    for (seen, scheme) in [(plain, "http"), (secure, "https")] {
        assert_eq!(&seen["secure"], if scheme == "https" { "True" } else { "False" }, "{seen:?}");
        assert_eq!(seen["url"], format!("{scheme}://{HOST}/client/?a=%C3%A9"));
        assert_eq!(&seen["script"], "");
        let name = if pair.protocol == Protocol::Http { "forwarded" } else { "remote" };
        assert_eq!(&seen[name], "127.0.0.1", "{seen:?}");
    }
    // Django compares the Referer with what it takes for its own scheme and host: a form over TLS fails if it takes them wrong.
    let jar = site.folder().join("cookies");
    let jar = jar.to_str().expect("a path in UTF-8");
    let page = site.curl("/form/", &["--cookie-jar", jar]);
    let fields = format!("csrfmiddlewaretoken={}&text=hello", hidden(&page));
    let referer = format!("Referer: https://{HOST}/form/");
    let posted = site.curl("/form/", &["--cookie", jar, "--header", &referer, "--data", &fields]);
    assert_eq!(posted, "posted hello");
}

/// What a form of Django hides in itself against forgery.
fn token(page: &Seen) -> String {
    hidden(&page.text())
}

fn hidden(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"csrfmiddlewaretoken\" value=\"").unwrap_or_else(|| panic!("no token in {page}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// Where the site of the framework tests is.
fn sites() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("frameworks/django_project")
}

const PASSWORD: &str = "a long password";
