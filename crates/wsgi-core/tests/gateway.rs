//! The gateway over real sockets: what every way of serving does; and over streams in memory, whose time stands still.

mod serving;

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serving::lines::lines;
use serving::{Of, Peer, Started, answer, echo, path, stream, wait_for, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;
use wsgi_core::gateway::{Connections, Context, Ending, Endpoint, Frontend, Gateway, Shutdown, async_trait, serve_connection};
use wsgi_core::server::{Listener, Outcome, Timeouts};
use wsgi_core::wire::{Address, Link, ResponseHead};
use wsgi_core::workers::{Request, Workers};
use wsgi_core::{Exchange, Handler};

pub(crate) use wsgi_core::gateway::Handle;

#[tokio::test(start_paused = true)]
async fn any_stream_carries_requests_one_after_the_other() {
    let mut there = There::new(Timeouts::default(), echo);
    there.send(b"/a 0\n/b 3\nxyz/c 5\nab").await;
    assert_eq!(there.reply().await, "200 /a ");
    assert_eq!(there.reply().await, "200 /b xyz");
    there.send(b"cde/close 0\n").await;
    assert_eq!(there.reply().await, "200 /c abcde");
    assert_eq!(there.reply().await, "200 /close ");
    assert_eq!(there.rest().await, "");
    assert_eq!(there.ending().await, Ending::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_when_its_time_is_up() {
    let timeouts = Timeouts { idle: Duration::from_secs(60), ..Timeouts::default() };
    let mut there = There::new(timeouts, echo);
    there.send(b"/a 0\n").await;
    assert_eq!(there.reply().await, "200 /a ");
    let begun = Instant::now();
    assert_eq!(there.rest().await, "");
    assert_eq!(begun.elapsed().as_secs(), 60);
    assert_eq!(there.ending().await, Ending::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_head_and_a_short_body_have_a_deadline_which_no_byte_moves_or_each_byte_moves() {
    let timeouts = Timeouts { head: Duration::from_secs(30), body: Duration::from_secs(50), ..Timeouts::default() };
    let mut half_a_head = There::new(timeouts.clone(), echo);
    let begun = Instant::now();
    half_a_head.send(b"/").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    half_a_head.send(b"a").await;
    assert_eq!(half_a_head.rest().await, "408 0\n");
    assert_eq!(begun.elapsed().as_secs(), 30);

    let mut half_a_body = There::new(timeouts, echo);
    half_a_body.send(b"/a 5\nx").await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    let begun = Instant::now();
    half_a_body.send(b"y").await;
    assert_eq!(half_a_body.rest().await, "408 0\n");
    assert_eq!(begun.elapsed().as_secs(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_of_its_reply_is_cut_off_and_one_that_takes_is_not() {
    let timeouts = Timeouts { write: Duration::from_secs(60), ..Timeouts::default() };
    let mut there = There::new(timeouts, |exchange: &mut dyn Exchange| answer(exchange, &[b'x'; 200_000]));
    let begun = Instant::now();
    there.send(b"/ 0\n").await;
    assert_eq!(there.line().await, "200 200000");
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(50)).await;
        there.take(STREAM_BYTES).await;
    }
    assert_eq!(there.ending().await, Ending::Reset);
    assert_eq!(begun.elapsed().as_secs(), 3 * 50 + 60);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_was_refused_and_goes_on_sending_is_cut_off() {
    let timeouts = Timeouts { linger: Duration::from_secs(30), ..Timeouts::default() };
    let mut there = There::new(timeouts, echo);
    let begun = Instant::now();
    there.send(b"nonsense\n").await;
    assert_eq!(there.line().await, "400 0");
    while there.stream.write_all(b"more").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(begun.elapsed().as_secs(), 31);
    assert_eq!(there.ending().await, Ending::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_breaks_off_where_only_a_reset_can_tell_is_said_to_need_one() {
    let mut there = There::new(Timeouts::default(), |exchange: &mut dyn Exchange| {
        exchange.start(&ResponseHead::of(http::StatusCode::OK));
        exchange.data(b"half");
    });
    there.send(b"/ 0\n").await;
    assert_eq!(there.rest().await, "200 -\nhalf");
    assert_eq!(there.ending().await, Ending::Reset);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_an_idle_connection_a_moment_and_a_hurry_none() {
    let mut idle = There::new(Timeouts::default(), echo);
    idle.send(b"/a 0\n").await;
    assert_eq!(idle.reply().await, "200 /a ");
    let begun = Instant::now();
    idle.handle.shutdown();
    tokio::time::sleep(Duration::from_millis(400)).await;
    idle.send(b"/on-its-way 0\n").await;
    assert_eq!(idle.reply().await, "200 /on-its-way ");
    assert_eq!(idle.rest().await, "");
    assert_eq!(begun.elapsed().as_millis(), 400);

    let silent = There::new(Timeouts::default(), echo);
    silent.handle.hurry();
    assert_eq!(silent.ending().await, Ending::Closed);
}

/// Lines has no word for a reply that breaks off, so that an ordinary close would make it look whole.
#[tokio::test]
async fn a_hurry_resets_a_connection_in_mid_reply_and_ends_its_handler() {
    let (told, tells) = channel();
    let told = Mutex::new(told);
    let mut there = There::new(Timeouts::default(), move |exchange: &mut dyn Exchange| {
        told.lock().unwrap().send(stream(exchange, usize::MAX).unwrap_err().kind()).unwrap();
    });
    there.send(b"/ 0\n").await;
    assert_eq!(there.line().await, "200 -");
    there.handle.hurry();
    assert_eq!(there.ending().await, Ending::Reset);
    assert_eq!(wait_for(&tells), io::ErrorKind::ConnectionAborted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_withdrawn_needs_no_reply_and_its_connection_goes_on() {
    let (told, tells) = channel();
    let told = Mutex::new(told);
    let mut there = There::with(Timeouts::default(), 2, move |exchange: &mut dyn Exchange| {
        if path(exchange) == "/wait" {
            told.lock().unwrap().send("begun").unwrap();
            wait_until(|| exchange.disconnected());
            told.lock().unwrap().send("noticed").unwrap();
        }
        answer(exchange, b"answered");
    });
    there.send(b"/wait 0\n").await;
    assert_eq!(wait_for(&tells), "begun");
    there.send(b"!/next 0\n").await;
    assert_eq!(there.reply().await, "200 answered");
    assert_eq!(wait_for(&tells), "noticed");
}

#[tokio::test]
async fn a_request_beyond_the_queue_is_answered_at_once_and_its_connection_goes_on() {
    let (begun, began) = channel();
    let (open, opened) = channel::<()>();
    let (begun, opened) = (Mutex::new(begun), Mutex::new(opened));
    let handler = Of(move |exchange: &mut dyn Exchange| {
        begun.lock().unwrap().send(()).unwrap();
        wait_for(&opened.lock().unwrap());
        answer(exchange, b"answered");
    });
    let workers = Workers::builder(handler).queue(1).start().unwrap();
    let handle = Handle::new();
    let context = Context::new(workers.clone(), handle.watch());
    let (mut first, mut second) = (There::on(&context, &handle), There::on(&context, &handle));
    first.send(b"/ 0\n").await;
    let began = tokio::task::spawn_blocking(move || {
        wait_for(&began);
        began
    });
    let began = began.await.unwrap();
    let waiting = workers.call(Request::default()).unwrap();
    second.send(b"/fields 3\nabc").await;
    let mut fields = String::new();
    while !fields.ends_with("\n\r\n") {
        fields.push(second.stream.read_u8().await.unwrap() as char);
    }
    assert!(fields.contains("Retry-After: 1\r\n"), "{fields}");
    assert_eq!(second.reply().await, "503 1 requests wait already, and no more may\n");
    drop(waiting);
    open.send(()).unwrap();
    assert_eq!(first.reply().await, "200 answered");
    second.send(b"/ 0\n").await;
    open.send(()).unwrap();
    assert_eq!(second.reply().await, "200 answered");
    wait_for(&began);
    workers.shutdown();
}

/// Ten thousand of them may be open. What each takes besides is its codec.
#[tokio::test]
async fn an_idle_connection_is_small() {
    let context = Context::new(Workers::builder(Of(echo)).start().unwrap(), Handle::new().watch());
    let (mut here, _there) = duplex(1);
    let link = link();
    let serving = serve_connection(&mut here, lines(&link), &link, &context);
    assert!(size_of_val(&serving) <= 2048, "{} bytes", size_of_val(&serving));
    context.workers.shutdown();
}

#[test]
fn the_bound_on_connections_is_common_to_all_front_ends() {
    let other = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let Address::Tcp(address) = *other.local_address() else { panic!("bound to TCP") };
    let server = Started::new(|server| server.listen(other, lines).max_connections(1), echo);
    let mut first = server.connect();
    first.send(b"/a 0\n");
    assert_eq!(first.reply(), "200 /a ");
    let mut second = Peer { stream: std::net::TcpStream::connect(address).unwrap() };
    second.send(b"/b 0\n");
    second.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(io::Read::read(&mut second.stream, &mut [0]).is_err());
    second.stream.set_read_timeout(None).unwrap();
    drop(first);
    assert_eq!(second.reply(), "200 /b ");
}

#[tokio::test]
async fn front_ends_of_any_kind_make_one_gateway() {
    let (begun, began) = channel();
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let Address::Tcp(address) = *listener.local_address() else { panic!("bound to TCP") };
    let name = format!("custom://{address}");
    let endpoint = Endpoint::new(listener, lines);
    assert_eq!(Frontend::name(&endpoint), name);
    let frontends: Vec<Box<dyn Frontend>> = vec![Box::new(endpoint), Box::new(Told(begun, After::Begun))];
    let gateway = Gateway::new(Of(echo)).frontends(frontends).frontend(Box::new(Told(channel().0, After::Begun)));
    let handle = gateway.handle();
    let running = tokio::spawn(gateway.run());
    let context: Context = tokio::task::spawn_blocking(move || wait_for(&began)).await.unwrap();
    assert_eq!((context.workers.threads(), context.shutdown.has_begun()), (1, false));
    let mut there = There::over(tokio::net::TcpStream::connect(address).await.unwrap());
    there.send(b"/close 0\n").await;
    assert_eq!(there.reply().await, "200 /close ");
    handle.shutdown();
    assert_eq!(running.await.unwrap().unwrap().stuck, 0);
}

#[tokio::test]
async fn a_front_end_that_fails_ends_the_others_in_good_order() {
    for (after, error) in [(After::Error, "told: as the test wants"), (After::Panic, "told: panicked: as the test wants")] {
        let others = Told(channel().0, After::Begun);
        let result = Gateway::new(Of(echo)).frontend(others).frontend(Told(channel().0, after)).run().await;
        assert_eq!(result.unwrap_err().to_string(), error);
    }
}

#[tokio::test(start_paused = true)]
async fn a_front_end_that_does_not_end_is_dropped_after_the_deadline() {
    let timeouts = Timeouts { shutdown: Duration::from_secs(30), ..Timeouts::default() };
    let gateway = Gateway::new(Of(echo)).timeouts(timeouts).frontend(Told(channel().0, After::Never));
    let begun = Instant::now();
    gateway.handle().shutdown();
    gateway.run().await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 31);
}

#[tokio::test]
async fn a_gateway_that_is_dropped_ends_its_threads() {
    struct Counted(Arc<AtomicUsize>);
    impl Handler for Counted {
        fn handle(&self, _: &mut dyn Exchange) {}
        fn thread(&self, work: &mut dyn FnMut()) {
            self.0.fetch_add(1, Ordering::SeqCst);
            work();
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let alive = Arc::new(AtomicUsize::new(0));
    let gateway = Gateway::new(Counted(Arc::clone(&alive))).threads(3).frontend(Told(channel().0, After::Never));
    let running = tokio::spawn(gateway.run());
    while alive.load(Ordering::SeqCst) < 3 {
        tokio::task::yield_now().await;
    }
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    wait_until(|| alive.load(Ordering::SeqCst) == 0);
}

#[test]
fn applications_are_told_of_other_processes() {
    let both = |exchange: &mut dyn Exchange| {
        let text = format!("{} {}", exchange.multithread(), exchange.multiprocess());
        answer(exchange, text.as_bytes());
    };
    for (threads, processes) in [(1, false), (2, true)] {
        let server = Started::new(|server| server.threads(threads).multiprocess(processes), both);
        let mut peer = server.connect();
        peer.send(b"/ 0\n");
        assert_eq!(peer.reply(), format!("200 {} {processes}", threads > 1));
    }
}

#[tokio::test]
async fn connections_have_places_and_give_them_back() {
    let connections = Connections::new(0);
    let first = connections.try_place().expect("there is always one");
    assert!(connections.try_place().is_none());
    assert_eq!(connections.open(), 1);
    drop(first);
    let _again = connections.place().await;
}

// ---------------------------------------------------------------------------------------------------------------------------------------

/// A front end that sends its context away, and then does this.
struct Told(Sender<Context>, After);

#[derive(Clone, Copy)]
enum After {
    Begun,
    Error,
    Panic,
    Never,
}

#[async_trait]
impl Frontend for Told {
    fn name(&self) -> String {
        "told".to_owned()
    }

    async fn serve(self: Box<Self>, context: Context) -> io::Result<()> {
        let shutdown: Shutdown = context.shutdown.clone();
        // Not every test wants to know.
        let _ = self.0.send(context);
        match self.1 {
            After::Begun => shutdown.begun().await,
            After::Error => return Err(io::Error::other("as the test wants")),
            After::Panic => panic!("as the test wants"),
            After::Never => pending().await,
        }
        Ok(())
    }
}

/// The other side of a connection.
struct There<S = DuplexStream> {
    stream: S,
    handle: Handle,
    /// What comes of serving this side.
    serving: Option<tokio::task::JoinHandle<Ending>>,
    workers: Option<Workers>,
}

impl There {
    /// A peer of a connection in memory, for whom one thread works.
    fn new(timeouts: Timeouts, handler: impl Fn(&mut dyn Exchange) + Send + Sync + 'static) -> There {
        There::with(timeouts, 1, handler)
    }

    fn with(timeouts: Timeouts, threads: usize, handler: impl Fn(&mut dyn Exchange) + Send + Sync + 'static) -> There {
        let workers = Workers::builder(Of(handler)).threads(threads).start().unwrap();
        let handle = Handle::new();
        let mut context = Context::new(workers.clone(), handle.watch());
        context.timeouts = timeouts;
        let mut there = There::on(&context, &handle);
        there.workers = Some(workers);
        there
    }

    fn on(context: &Context, handle: &Handle) -> There {
        let (mut here, stream) = duplex(STREAM_BYTES);
        let context = context.clone();
        let serving = tokio::spawn(async move { serve_connection(&mut here, lines(&link()), &link(), &context).await });
        There { stream, handle: handle.clone(), serving: Some(serving), workers: None }
    }

    async fn ending(mut self) -> Ending {
        self.serving.take().expect("asked once").await.unwrap()
    }
}

impl There<tokio::net::TcpStream> {
    fn over(stream: tokio::net::TcpStream) -> Self {
        There { stream, handle: Handle::new(), serving: None, workers: None }
    }
}

impl<S: AsyncReadExt + AsyncWriteExt + Unpin> There<S> {
    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        loop {
            match self.stream.read_u8().await.unwrap() {
                b'\n' => return line,
                byte => line.push(byte as char),
            }
        }
    }

    async fn take(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// The code and the body of a reply with a length.
    async fn reply(&mut self) -> String {
        let line = self.line().await;
        let (code, length) = line.split_once(' ').unwrap();
        format!("{code} {}", self.take(length.parse().unwrap()).await)
    }

    async fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).await.unwrap();
        rest
    }
}

impl<S> Drop for There<S> {
    fn drop(&mut self) {
        self.workers.iter().for_each(Workers::shutdown);
    }
}

fn link() -> Link {
    Link { local: Address::Unix(None), remote: Address::Unix(None), secure: false }
}

/// How much a stream in memory takes before it is read.
const STREAM_BYTES: usize = 1000;

/// What takes the settings.
pub(crate) type Server = Gateway;

/// A gateway that runs, in a runtime of its own.
pub(crate) struct Serving {
    handle: Handle,
    thread: JoinHandle<Outcome>,
}

impl Serving {
    pub(crate) fn start(gateway: Gateway) -> Serving {
        let handle = gateway.handle();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || runtime.block_on(gateway.run()).unwrap());
        Serving { handle, thread }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    pub(crate) fn wait(self) -> Outcome {
        self.thread.join().unwrap()
    }
}
