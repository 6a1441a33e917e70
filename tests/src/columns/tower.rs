//! `WsgiService` in an axum router, behind `axum::serve`: hyper speaks HTTP/1, the application runs on the threads of `Workers`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::Mutex;

use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Extension, Request};
use axum::middleware::{map_request, map_response};
use axum::response::Response;
use axum::serve::IncomingStream;
use hyper::ext::ReasonPhrase;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use wsgi_core::wire::{Address, Link};
use wsgi_core::workers::Workers;
use wsgi_core::wsgi::Application;
use wsgi_core::{Handler, Mount};
use wsgi_http::tower::{Reason, WsgiService};

use crate::DEADLINE;
use crate::client::Wire;
use crate::column::{Column, Conversation, Feature, Front, Served};

/// Behind a TCP socket.
pub(super) const AXUM: Axum = Axum;

/// axum over TCP.
pub(super) struct Axum;

impl Column for Axum {
    fn name(&self) -> &'static str {
        "tower-axum"
    }

    fn lacks(&self) -> &'static [Feature] {
        &[Feature::Strict, Feature::Informational, Feature::Reset]
    }

    fn serve(&self, served: Served) -> Box<dyn Front> {
        Box::new(Serving::start(served))
    }
}

struct Serving {
    runtime: Runtime,
    workers: Workers,
    address: SocketAddr,
    shut_down: Mutex<Option<oneshot::Sender<()>>>,
}

impl Serving {
    fn start(served: Served) -> Serving {
        let errors = served.errors;
        let mut application = Application::new(served.application).errors(move |text| errors(text));
        for (name, value) in &served.variables {
            application = application.variable(name, value).unwrap_or_else(|error| panic!("{error}"));
        }
        let handler: Arc<dyn Handler> = match served.prefix.as_str() {
            "" => Arc::new(application),
            prefix => Arc::new(Mount::new().at(prefix, application)),
        };
        let workers = Workers::builder(handler).threads(served.threads).start().expect("threads");
        let service = WsgiService::new(workers.clone()).limits(served.http.limits).underscores(served.http.underscores);
        let router = Router::new().fallback_service(service).layer(map_request(link)).layer(map_response(reason));

        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (shut_down, told) = oneshot::channel::<()>();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = axum::serve(listener, router.into_make_service_with_connect_info::<Ends>());
        runtime.spawn(async move {
            // An error, that is a dropped sender, is as good a reason.
            serving.with_graceful_shutdown(async { drop(told.await) }).await
        });
        Serving { runtime, workers, address, shut_down: Mutex::new(Some(shut_down)) }
    }
}

impl Front for Serving {
    fn open(&self) -> Box<dyn Conversation> {
        Box::new(self.wire().expect("this column speaks HTTP/1"))
    }

    fn wire(&self) -> Option<Wire> {
        Some(Wire::tcp(self.address).unwrap_or_else(|error| panic!("{}: {error}", self.address)))
    }

    fn shut_down(&self) {
        drop(self.shut_down.lock().expect("no panic while it is held").take());
    }

    fn stop(self: Box<Self>) {
        // The case is over, so nobody reads any more: what still runs is cut off, as a program is that ends.
        self.runtime.shutdown_timeout(DEADLINE);
        self.workers.shutdown();
        assert_eq!(self.workers.wait(DEADLINE), 0, "threads are stuck in the application");
    }
}

/// Both ends of a connection, as axum hands them on.
#[derive(Clone)]
struct Ends(Link);

impl Connected<IncomingStream<'_, TcpListener>> for Ends {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Ends {
        let local = stream.io().local_addr().expect("a connection has two ends");
        Ends(Link { local: Address::Tcp(local), remote: Address::Tcp(*stream.remote_addr()), secure: false })
    }
}

async fn link(Extension(ConnectInfo(Ends(link))): Extension<ConnectInfo<Ends>>, mut request: Request) -> Request {
    request.extensions_mut().insert(link);
    request
}

/// hyper takes the reason from an extension of its own.
async fn reason(mut response: Response) -> Response {
    if let Some(Reason(reason)) = response.extensions_mut().remove::<Reason>() {
        response.extensions_mut().insert(ReasonPhrase::try_from(&reason[..]).expect("a reason that was checked"));
    }
    response
}
