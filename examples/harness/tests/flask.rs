//! A Flask site, tested from Rust.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};
use wsgi_core::testing::{Client, Multipart, Sent, on_a_lasting_thread};
use wsgi_core::{Application, Interpreter};

/// The site, loaded once for all tests of this file.
static SITE: LazyLock<Option<Application>> = LazyLock::new(|| {
    let home = wsgi_harness::home()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("flask_site");
    on_a_lasting_thread(move || {
        let python = Interpreter::builder().home(home).python_path(folder).start().unwrap();
        Some(python.load("site_app:create_app()").unwrap())
    })
});

/// Somebody with a browser of their own.
fn visitor() -> Option<Client<'static>> {
    SITE.as_ref().map(Client::new)
}

/// The same, logged in.
fn ada() -> Option<Client<'static>> {
    let client = visitor()?;
    client.post("/login").form(&[("name", "ada"), ("password", "lovelace")]).send();
    Some(client)
}

#[test]
fn who_is_not_logged_in_is_sent_to_the_login() {
    let Some(client) = visitor() else { return };
    let response = client.get("/").follow_redirects().send();
    assert_eq!(response.request(), "GET /login?next=/");
    assert!(response.text().contains("<form"));
}

#[test]
fn a_login_lasts_until_the_logout() {
    let Some(client) = visitor() else { return };
    let response = client.post("/login?next=/").form(&[("name", "ada"), ("password", "lovelace")]).follow_redirects().send();
    assert_eq!((response.request(), response.text().as_ref()), ("GET /", "Hello, ada!"));
    assert!(client.cookie("session").is_some());

    assert_eq!(client.post("/logout").send().status(), 204);
    assert_eq!(client.get("/").send().status(), 302);
}

#[test]
fn a_wrong_password_is_told_once() {
    let Some(client) = visitor() else { return };
    let response = client.post("/login").form(&[("name", "ada"), ("password", "byron")]).follow_redirects().send();
    assert!(response.text().contains("Wrong name or password"));
    assert!(!client.get("/login").send().text().contains("Wrong"));
}

#[test]
fn the_api_takes_and_gives_json() {
    let Some(client) = ada() else { return };
    let created = client.post("/api/notes").json(&json!({"text": "café"})).send();
    assert_eq!((created.status().as_u16(), created.header("Location")), (201, Some("http://localhost/api/notes")));
    assert_eq!(created.json::<Value>(), json!({"by": "ada", "text": "café"}));
    let notes: Vec<Value> = client.get("/api/notes").send().json();
    assert!(notes.contains(&json!({"by": "ada", "text": "café"})));
}

#[test]
fn the_api_is_closed_to_strangers_and_to_what_is_no_json() {
    let Some(client) = visitor() else { return };
    assert_eq!(client.get("/api/notes").send().status(), 401);
    let Some(client) = ada() else { return };
    assert_eq!(client.post("/api/notes").json_text("{").send().status(), 400);
    assert_eq!(client.post("/api/notes").body("text=x").send().status(), 415);
}

#[test]
fn a_file_arrives_whole_with_its_name_and_type() {
    let Some(client) = visitor() else { return };
    let form = Multipart::new().file("file", "ünï \"1\".bin", "application/x-test", vec![0xff; 300_000]);
    let seen: Value = client.post("/upload").multipart(&form).send().json();
    assert_eq!((&seen["bytes"], &seen["type"]), (&json!(300_000), &json!("application/x-test")));
    // The field is missing.
    assert_eq!(client.post("/upload").multipart(&Multipart::new().text("other", "")).send().status(), 400);
}

#[test]
fn an_upload_that_breaks_off_is_not_taken_for_whole() {
    let Some(client) = visitor() else { return };
    let broken = client.post("/upload").header("Content-Type", "multipart/form-data; boundary=x").body_that_breaks("--x\r\n", 1000).send();
    // Nobody is left to read the page; what counts is that the view did not go on.
    assert_eq!(broken.status(), 500);
    assert!(broken.errors().contains("ConnectionResetError: the client went away after 5 bytes"), "{broken:?}");
}

#[test]
fn an_export_is_sent_line_by_line() {
    let Some(client) = visitor() else { return };
    let response = client.get("/export").query(&[("rows", "3")]).send();
    assert_eq!(response.blocks(), [&b"number\n"[..], b"0\n", b"1\n", b"2\n"]);
    assert_eq!(response.header("Content-Type"), Some("text/csv"));
    assert!(response.closed().is_some_and(|closed| closed.at_end));
}

#[test]
fn an_export_ends_when_its_reader_leaves() {
    let Some(client) = visitor() else { return };
    let mut lines = 0;
    let response = client
        .get("/export?rows=1000000")
        .observe(|sent| {
            lines += u32::from(matches!(sent, Sent::Block(_)));
            lines < 10
        })
        .send();
    assert_eq!((response.blocks().len(), response.aborted()), (10, true));
    assert!(response.closed().is_some_and(|closed| !closed.at_end));
}

#[test]
fn a_view_that_fails_is_a_500_whose_traceback_only_the_log_has() {
    let Some(client) = visitor() else { return };
    let response = client.get("/fail").send();
    assert_eq!(response.status(), 500);
    assert!(!response.text().contains("RuntimeError"));
    assert!(response.errors().contains("RuntimeError: a view that fails"), "{response:?}");
}

#[test]
fn errors_have_pages() {
    let Some(client) = visitor() else { return };
    let missing = client.get("/no/such/page").send();
    assert_eq!((missing.status().as_u16(), missing.text().as_ref()), (404, "Nothing at /no/such/page"));
    assert_eq!(client.get("/teapot").send().reason(), "I'M A TEAPOT");
    let refused = client.delete("/login").send();
    assert_eq!(refused.status(), 405);
    assert!(refused.header("Allow").is_some_and(|allow| allow.contains("POST")));
}

#[test]
fn below_a_prefix_and_behind_tls_links_are_right() {
    let Some(client) = visitor() else { return };
    let response = client.get("/shop/").mounted_at("/shop").https().header("Host", "example.org").send();
    assert_eq!(response.header("Location"), Some("/shop/login?next=/"));
}
