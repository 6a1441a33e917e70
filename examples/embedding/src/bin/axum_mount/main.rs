//! A Django site inside an axum program: Django serves its pages and its admin, Rust serves an API, a WebSocket and the static files, and
//! whoever is logged in on one side is known on the other.
//!
//! ```text
//!  /api/fast            Rust, for anybody
//!  /api/me              Rust, for whoever has a session of Django's (session.rs)
//!  /ws                  Rust, a WebSocket, for the same (websocket.rs)
//!  /reports/...         Django, for whom a token names (token.rs): comes as REMOTE_USER
//!  /static/...          the files that `collectstatic` has collected
//!  everything else      Django
//! ```
//!
//! How to make the environment and the database that it wants is in the README of this package.

mod options;
mod session;
mod token;
mod websocket;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_http::services::ServeDir;
use wsgi_core::Interpreter;
use wsgi_core::wire::Known;
use wsgi_core::workers::Workers;
use wsgi_embedding::BoxError;
use wsgi_http::tower::WsgiService;

use self::options::Options;
use self::session::User;
use self::token::{TokenUser, Tokens};

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("axum_mount: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), BoxError> {
    let Options { listen, site, home, data, tokens, threads } = Options::parse()?;
    let tokens = tokens.map_or_else(|| Ok(Tokens::default()), |path| Tokens::read(&path))?;
    // On the main thread, which becomes Python's; before there is a runtime with threads of its own.
    let mut python = Interpreter::builder().chdir(site);
    if let Some(home) = home {
        python = python.home(home);
    }
    let python = python.start()?;
    let workers = Workers::builder(python.load("mysite.wsgi:application")?).threads(threads).start()?;
    let app = app(&workers, tokens, &data);
    let served = tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(&listen).await.map_err(|error| format!("cannot listen on {listen}: {error}"))?;
        Ok(wsgi_embedding::serve(listener, app).await?)
    });
    wsgi_embedding::end(&workers, &python);
    served
}

/// All routes.
fn app(workers: &Workers, tokens: Tokens, data: &Path) -> Router {
    let django = WsgiService::new(workers.clone())
        .peer_from(|peer: &ConnectInfo<SocketAddr>| peer.0)
        .variables_from(|user: &TokenUser, head| head.set(Known::RemoteUser, user.0.as_bytes()));
    let reports = ServiceBuilder::new().layer(from_fn_with_state(Arc::new(tokens), token::known)).service(django.clone());
    Router::new()
        .route("/api/fast", get(|| async { "hello from Rust\n" }))
        .route("/api/me", get(async |User(name): User| format!("{name}\n")))
        .route("/ws", any(websocket::greet))
        .route_service("/reports/{*name}", reports)
        .nest_service("/static", ServeDir::new(data.join("static")))
        .fallback_service(django.clone())
        .with_state(django)
}
