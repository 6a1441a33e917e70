//! A Django site, tested from Rust: settings and database are set up once, tests run at the same time.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};
use wsgi_core::testing::{Client, on_a_lasting_thread};
use wsgi_core::{Application, Interpreter};

/// The site, with the tables of its database. It is loaded on a thread that stays, and with it the connection that keeps the database in memory.
static SITE: LazyLock<Option<Application>> = LazyLock::new(|| {
    let home = wsgi_harness::home()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("django_site");
    on_a_lasting_thread(move || {
        let python = Interpreter::builder().home(home).python_path(folder).start().unwrap();
        Some(python.load("site_wsgi").unwrap())
    })
});

fn visitor() -> Option<Client<'static>> {
    SITE.as_ref().map(Client::new)
}

/// Logs in as a browser does, with the token from the cookie.
fn user(name: &str) -> Option<Client<'static>> {
    let client = visitor()?;
    client.get("/login/").send();
    let token = client.cookie("csrftoken").expect("the form sets the token");
    let form = [("username", name), ("password", &format!("{name}'s own")), ("csrfmiddlewaretoken", &token)];
    let response = client.post("/login/").form(&form).send();
    assert_eq!((response.status().as_u16(), response.header("Location")), (302, Some("/notes/")), "{response:?}");
    Some(client)
}

#[test]
fn strangers_are_sent_to_the_login() {
    let Some(client) = visitor() else { return };
    let response = client.get("/notes/").follow_redirects().send();
    assert_eq!(response.request(), "GET /login/?next=/notes/");
    assert!(response.text().contains("csrfmiddlewaretoken"));
}

#[test]
fn a_note_is_kept_for_its_owner() {
    let Some(ada) = user("ada") else { return };
    let token = ada.cookie("csrftoken").unwrap();
    let created = ada.post("/notes/").header("X-CSRFToken", &token).json(&json!({"text": "only mine"})).send();
    assert_eq!(created.status(), 201, "{created:?}");
    let number = created.json::<Value>()["number"].clone();
    assert_eq!(ada.get(&format!("/notes/{number}/")).send().text(), "only mine");
    // Another user, at the same time in the same database.
    let Some(grace) = user("grace") else { return };
    assert_eq!(grace.get(&format!("/notes/{number}/")).send().status(), 404);
    assert_eq!(grace.get("/notes/").send().json::<Value>(), json!({"notes": []}));
}

#[test]
fn a_form_without_its_token_is_refused() {
    let Some(client) = user("edsger") else { return };
    let response = client.post("/notes/").json(&json!({"text": "forged"})).send();
    assert_eq!(response.status(), 403);
    assert_eq!(client.get("/notes/").send().json::<Value>(), json!({"notes": []}));
}

#[test]
fn a_thread_keeps_its_connection_to_the_database_between_calls() {
    let Some(client) = visitor() else { return };
    let first = client.get("/connection/").send().text().into_owned();
    assert_eq!(client.get("/connection/").send().text(), first);
    let other = std::thread::spawn(|| visitor().expect("the site is there").get("/connection/").send().text().into_owned());
    assert_ne!(other.join().unwrap(), first, "each thread has its own");
}

#[test]
fn another_host_is_refused() {
    let Some(client) = visitor() else { return };
    assert_eq!(client.get("/notes/").header("Host", "example.org").send().status(), 400);
}

#[test]
fn a_view_that_fails_is_a_500() {
    let Some(client) = visitor() else { return };
    let response = client.get("/fail/").send();
    assert_eq!(response.status(), 500);
    assert!(!response.text().contains("RuntimeError"));
    assert!(response.closed().is_some(), "Django ends its requests when the response is closed");
}
