//! Python behind `WsgiService`, without a server: what its layers say reaches the application, and how it ends when they give up.
//!
//! The contract itself runs through the column `tower-axum` of the matrix.

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use tower::{ServiceBuilder, ServiceExt};
use tower_http::timeout::TimeoutLayer;
use wsgi_core::wire::{Address, Known, Link};
use wsgi_core::workers::Workers;
use wsgi_core::wsgi::Application;
use wsgi_http::tower::WsgiService;
use wsgi_tests::DEADLINE;
use wsgi_tests::fixture::Fixture;

fn service(fixture: &Fixture) -> WsgiService {
    WsgiService::new(Workers::builder(Application::new(fixture.callable("application"))).threads(2).start().unwrap())
}

fn run<R>(future: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, future).await.expect("it comes to an end") })
}

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).header("Host", "shop.test").body(Body::empty()).unwrap()
}

fn closed(fixture: &Fixture) {
    fixture.noted::<Option<String>>("closed");
    assert_eq!(fixture.notes::<Option<String>>("closed").len(), 1);
}

// clauses: 81
#[test]
fn a_response_that_is_dropped_is_closed() {
    let fixture = Fixture::load("endless");
    let service = service(&fixture);
    let response = run(service.clone().oneshot(get("/"))).unwrap();
    assert_eq!(response.status(), 200);
    drop(response);
    closed(&fixture);
    fixture.noted::<usize>("left");
}

// clauses: 81
#[test]
fn a_response_that_comes_too_late_is_closed() {
    // A request that comes to its time limit before a thread comes to it is forgotten; then the limit was too short for this machine.
    for milliseconds in [20, 200, 2000, 10_000] {
        let fixture = Fixture::load("late_block");
        let limit = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(milliseconds));
        let response = run(ServiceBuilder::new().layer(limit).service(service(&fixture)).oneshot(get("/"))).unwrap();
        assert_eq!(response.status(), 504);
        if !fixture.notes::<Option<String>>("asked for first").is_empty() {
            fixture.open("first");
            closed(&fixture);
            assert!(fixture.notes::<Option<String>>("asked for second").is_empty(), "it was asked for more that nobody takes");
            return;
        }
    }
    panic!("no thread has come to the request");
}

#[derive(Clone)]
struct User(&'static str);

// clauses: 14, 15, 16
#[test]
fn the_application_knows_where_it_is_and_who_asks() {
    let fixture = Fixture::load("environ");
    let service = service(&fixture).script_name("/app").variables_from(|user: &User, head| head.set(Known::RemoteUser, user.0.as_bytes()));
    let mut request = get("/app/caf%C3%A9%20au%20lait?q=1");
    request.headers_mut().insert("Remote-User", "root".parse().unwrap());
    request.extensions_mut().insert(User("ada"));
    let address = |text: &str| Address::Tcp(text.parse().unwrap());
    request.extensions_mut().insert(Link { local: address("192.0.2.1:443"), remote: address("198.51.100.7:5"), secure: true });
    let response = run(Router::<()>::new().nest_service("/app", service).oneshot(request)).unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(fixture.noted::<String>("url"), "https://shop.test/app/caf%C3%A9%20au%20lait?q=1");
    let environ: HashMap<String, String> = fixture.noted("text");
    let seen = ["SCRIPT_NAME", "REMOTE_USER", "REMOTE_ADDR", "SERVER_PORT", "wsgi.url_scheme"].map(|name| environ[name].as_str());
    assert_eq!(seen, ["/app", "ada", "198.51.100.7", "443", "https"]);
}
