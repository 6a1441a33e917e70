#![allow(missing_docs)]
use std::hint::black_box;
use std::time::Instant;
use wsgi_core::wire::*;
const TWELVE: &[u8] = b"GET /hello?a=b&c=d HTTP/1.1\r\nHost: www.example.org\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\nsec-ch-ua: \"Chromium\";v=\"124\", \"Google Chrome\";v=\"124\", \"Not-A.Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\nUpgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nSec-Fetch-Site: none\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9,de;q=0.8\r\nCookie: sessionid=38afes7a8; csrftoken=u32t4o3tb3gg43\r\n\r\n";
fn time(name: &str, mut f: impl FnMut()) {
    for _ in 0..10000 {
        f()
    }
    let mut best = f64::MAX;
    for _ in 0..10 {
        let n = 100_000;
        let t = Instant::now();
        for _ in 0..n {
            f()
        }
        best = best.min(t.elapsed().as_nanos() as f64 / n as f64);
    }
    println!("{name}: {best:.0} ns");
}
fn bare(head: &[u8]) -> bool {
    head.iter().zip(&head[1..]).fold(false, |bare, (&before, &byte)| bare | ((byte == b'\n') & (before != b'\r')))
}
fn bare2(head: &[u8]) -> bool {
    let mut acc = 0u8;
    for (a, b) in head.iter().zip(&head[1..]) {
        acc |= ((*b == b'\n') as u8) & ((*a != b'\r') as u8);
    }
    acc != 0
}
fn bare3(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).any(|at| head[at - 1] != b'\r')
}
fn main() {
    let lines: Vec<(Vec<u8>, Vec<u8>)> = TWELVE
        .split(|&b| b == b'\n')
        .skip(1)
        .filter(|l| l.len() > 2)
        .map(|l| {
            let c = l.iter().position(|&b| b == b':').unwrap();
            (l[..c].to_vec(), l[c + 2..l.len() - 1].to_vec())
        })
        .collect();
    println!("{} bytes", TWELVE.len());
    time("bare", || {
        black_box(bare(black_box(TWELVE)));
    });
    time("bare2", || {
        black_box(bare2(black_box(TWELVE)));
    });
    time("bare3", || {
        black_box(bare3(black_box(TWELVE)));
    });
    let mut head = RequestHead::default();
    time("clear", || {
        head.clear();
        black_box(&head);
    });
    time("target", || {
        head.clear();
        head.target(b"/hello?a=b&c=d").unwrap();
        black_box(&head);
    });
    time("fields", || {
        head.clear();
        for (n, v) in &lines {
            head.field(n, v, Underscores::Drop).unwrap();
        }
        black_box(&head);
    });
    time("from_field", || {
        for (n, _) in &lines {
            black_box(Known::from_field(n));
        }
    });
    time("contains _", || {
        for (n, _) in &lines {
            black_box(n.contains(&b'_'));
        }
    });
    time("set", || {
        head.clear();
        for k in [
            Known::RemoteAddr,
            Known::RemotePort,
            Known::ServerName,
            Known::ServerPort,
            Known::ServerSoftware,
            Known::GatewayInterface,
            Known::RequestScheme,
            Known::ServerProtocol,
            Known::RequestMethod,
        ] {
            head.set(k, b"127.0.0.1");
        }
        black_box(&head);
    });
    time("httparse", || {
        let mut fields = [const { std::mem::MaybeUninit::uninit() }; 128];
        let mut request = httparse::Request::new(&mut []);
        request.parse_with_uninit_headers(black_box(TWELVE), &mut fields).unwrap();
        black_box(&request);
    });
}
