//! An application that moves from Python to Rust one route at a time, while it runs.
//!
//! ```text
//!                      ┌ python ─▶ old.py
//!  request ─▶ table ───┼ shadow ─▶ old.py, whose answer counts; then Rust, whose answer is compared
//!                      └ rust ───▶ Rust
//! ```
//!
//! `cargo run -p wsgi-embedding --bin strangler`, and then
//!
//! ```sh
//! curl http://127.0.0.1:8000/price?item=apple
//! curl http://127.0.0.1:8001/                             # the table: each route, its mode, how many answers differed
//! curl -X PUT --data shadow http://127.0.0.1:8001/price   # from now on compared; differences are logged
//! curl -X PUT --data rust http://127.0.0.1:8001/price
//! ```

mod new;
mod shadow;
mod table;

use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use lexopt::prelude::*;
use tokio::net::TcpListener;
use tower::ServiceExt;
use wsgi_core::Interpreter;
use wsgi_core::workers::Workers;
use wsgi_embedding::BoxError;
use wsgi_http::tower::WsgiService;

use self::table::{Mode, Table};

/// Both applications, and which of them answers what.
struct Strangler {
    python: WsgiService,
    rust: Router,
    table: Table,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("strangler: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), BoxError> {
    let (mut listen, mut control) = ("127.0.0.1:8000".to_owned(), "127.0.0.1:8001".to_owned());
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => listen = arguments.value()?.string()?,
            Long("control") => control = arguments.value()?.string()?,
            _ => return Err(argument.unexpected().into()),
        }
    }
    let python = Interpreter::builder().python_path(concat!(env!("CARGO_MANIFEST_DIR"), "/old")).start()?;
    let workers = Workers::builder(python.load("old:application")?).threads(4).start()?;
    let table = Table::new(["/price", "/stock"]);
    let strangler = Arc::new(Strangler { python: WsgiService::new(workers.clone()), rust: new::app(), table });
    let app = Router::new().fallback(answer).with_state(Arc::clone(&strangler));
    // On a port of its own, which only the operator reaches.
    let switch = Router::new().route("/", get(show)).route("/{*route}", put(change)).with_state(strangler);
    let served = tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(&listen).await.map_err(|error| format!("cannot listen on {listen}: {error}"))?;
        let control = TcpListener::bind(&control).await.map_err(|error| format!("cannot listen on {control}: {error}"))?;
        println!("control on http://{}/", control.local_addr()?);
        tokio::spawn(async { axum::serve(control, switch).await });
        Ok(wsgi_embedding::serve(listener, app).await?)
    });
    wsgi_embedding::end(&workers, &python);
    served
}

async fn answer(State(strangler): State<Arc<Strangler>>, request: Request) -> Response {
    match strangler.table.mode(request.uri().path()) {
        Mode::Python => strangler.python.clone().oneshot(request).await.into_response(),
        Mode::Rust => strangler.rust.clone().oneshot(request).await.into_response(),
        Mode::Shadow => shadow::answer(strangler, request).await,
    }
}

async fn show(State(strangler): State<Arc<Strangler>>) -> String {
    strangler.table.to_string()
}

async fn change(State(strangler): State<Arc<Strangler>>, Path(route): Path<String>, mode: String) -> Result<String, (StatusCode, String)> {
    let mode = mode.trim().parse().map_err(|error: table::UnknownMode| (StatusCode::BAD_REQUEST, format!("{error}\n")))?;
    match strangler.table.set(&format!("/{route}"), mode) {
        true => Ok(strangler.table.to_string()),
        false => Err((StatusCode::NOT_FOUND, format!("there is no route /{route}\n"))),
    }
}
