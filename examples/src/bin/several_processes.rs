//! Workers under a master, for any Rust server: `cargo run -p wsgi-examples --bin several_processes [ADDRESS]`, then <http://127.0.0.1:8000/>, then
//! `kill -HUP` to the master for new workers, and `kill -TERM` for the end. No Python is in it.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use wsgi_core::processes::{Ended, Master, Named, Order, Role, Worker};
use wsgi_core::server::{Listener, Server};
use wsgi_core::wire::ResponseHead;
use wsgi_core::{Exchange, Handler};
use wsgi_http::Http1;

fn main() -> Result<(), Box<dyn Error>> {
    // First of all: this program is started as a master, and starts itself as workers.
    let master = match Role::of_this_process()? {
        Role::Worker(worker) => return serve(&worker),
        Role::First => {
            let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".to_owned());
            let listener = Listener::bind(&address.parse()?)?;
            Master::new(vec![Named { name: "http".to_owned(), listener }])?
        }
        // After USR2: the sockets come from the master before this one, which goes when the workers of this one are ready.
        Role::Successor(before) => Master::new(before.sockets())?.succeed(before),
    };
    let master = master.on_report(|worker, report| eprintln!("worker {worker} has answered {}", String::from_utf8_lossy(report)));
    match master.on_reopen(|| eprintln!("master: logs are opened anew")).processes(PROCESSES).run()? {
        Ended::NotStarted(status) => Err(format!("no worker could be started: {status}").into()),
        _ => Ok(()),
    }
}

fn serve(worker: &Worker) -> Result<(), Box<dyn Error>> {
    let mut server =
        Server::new(Hello { worker: worker.clone(), answered: AtomicU64::new(0) }).multiprocess(true).give_way(worker.shares());
    for Named { listener, .. } in worker.sockets() {
        println!("listening on http://{}/", listener.local_address());
        server = server.listen(listener, Http1::new());
    }
    let running = server.start()?;
    worker.ready()?;
    let (server, orders) = (running.handle(), worker.clone());
    std::thread::spawn(move || {
        loop {
            match orders.order() {
                Order::Stop { drain: false } => server.hand_over(),
                Order::Stop { drain: true } => server.shutdown(),
                Order::Announce => server.announce(),
                Order::Hurry => server.hurry(),
                Order::ReopenLogs => eprintln!("worker {}: logs are opened anew", orders.number()),
                // There will be no more.
                Order::Orphaned => return server.shutdown(),
            }
        }
    });
    running.wait();
    Ok(())
}

struct Hello {
    worker: Worker,
    answered: AtomicU64,
}

impl Handler for Hello {
    fn handle(&self, exchange: &mut dyn Exchange) {
        let text = format!("Hello from worker {} of {PROCESSES}!\n", self.worker.number());
        exchange.start(&ResponseHead::plain(http::StatusCode::OK, text.len() as u64));
        exchange.data(text.as_bytes());
        exchange.finish();
        let answered = self.answered.fetch_add(1, Ordering::Relaxed) + 1;
        // A master that does not listen is no reason not to answer.
        let _ = self.worker.report(answered.to_string().as_bytes());
    }
}

const PROCESSES: u32 = 2;
