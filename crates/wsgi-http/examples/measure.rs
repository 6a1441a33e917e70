use bytes::BytesMut;
use std::hint::black_box;
use std::time::Instant;
use wsgi_core::wire::*;
use wsgi_http::Http1;

const FEW: &[u8] = b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n";
const TWELVE: &[u8] = b"GET /hello?a=b&c=d HTTP/1.1\r\nHost: www.example.org\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\nsec-ch-ua: \"Chromium\";v=\"124\", \"Google Chrome\";v=\"124\", \"Not-A.Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\nUpgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nSec-Fetch-Site: none\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9,de;q=0.8\r\nCookie: sessionid=38afes7a8; csrftoken=u32t4o3tb3gg43\r\n\r\n";

fn main() {
    let link = Link {
        local: Address::Tcp("127.0.0.1:8000".parse().unwrap()),
        remote: Address::Tcp("127.0.0.1:54321".parse().unwrap()),
        secure: false,
    };
    println!("box {}", std::mem::size_of_val(&*Http1::new().connect(&link)));
    let n = 1_000_000u32;
    for _ in 0..5 {
        for (name, bytes) in if std::env::args().count() > 1 { vec![("twelve", TWELVE)] } else { vec![("few", FEW), ("twelve", TWELVE)] } {
            let mut codec = Http1::new().connect(&link);
            let (mut input, mut head, mut out) = (BytesMut::with_capacity(8192), RequestHead::default(), Vec::with_capacity(8192));
            let date = HttpDate::from_unix(784_111_777);
            let mut reply = ResponseHead::new(b"200 OK").unwrap();
            reply.field(b"Content-Type", b"text/plain").unwrap();
            reply.set_content_length(14);
            // feeding and finishing alone
            let mut parse = 0;
            let mut encode = 0;
            let all = Instant::now();
            for _ in 0..n {
                input.clear();
                input.reserve(8192);
                input.extend_from_slice(bytes);
                assert_eq!(codec.poll(&mut input, &mut head, &mut out).unwrap(), Event::Head);
                black_box(&head);
                assert_eq!(codec.poll(&mut input, &mut head, &mut out).unwrap(), Event::EndOfBody);
                out.clear();
                codec.start(&reply, &date, &mut out);
                codec.data(b"Hello, world!\n", &mut out);
                assert_eq!(codec.finish(&mut out), Next::Request);
                black_box(&out);
            }
            let all = all.elapsed().as_nanos() as f64 / n as f64;
            for _ in 0..n / 10 {
                input.clear();
                input.reserve(8192);
                input.extend_from_slice(bytes);
                let a = Instant::now();
                codec.poll(&mut input, &mut head, &mut out).unwrap();
                black_box(&head);
                let b = Instant::now();
                codec.poll(&mut input, &mut head, &mut out).unwrap();
                out.clear();
                let c = Instant::now();
                codec.start(&reply, &date, &mut out);
                codec.data(b"Hello, world!\n", &mut out);
                codec.finish(&mut out);
                black_box(&out);
                let d = Instant::now();
                parse += (b - a).as_nanos();
                encode += (d - c).as_nanos();
            }
            let t = Instant::now();
            for _ in 0..n {
                input.clear();
                input.reserve(8192);
                input.extend_from_slice(bytes);
                black_box(&input);
            }
            let feed = t.elapsed().as_nanos() as f64 / n as f64;
            let t = Instant::now();
            for _ in 0..n {
                let mut fields = [const { std::mem::MaybeUninit::uninit() }; 128];
                let mut request = httparse::Request::new(&mut []);
                request.parse_with_uninit_headers(black_box(bytes), &mut fields).unwrap();
                black_box(&request);
            }
            let httparse = t.elapsed().as_nanos() as f64 / n as f64;
            let t = Instant::now();
            for _ in 0..n / 10 {
                black_box(Instant::now());
            }
            let clock = t.elapsed().as_nanos() as f64 / (n / 10) as f64;
            println!(
                "{name}: all {all:.0} feed {feed:.0} | parse {:.0} encode {:.0} (each minus clock {clock:.0}) httparse alone {httparse:.0}",
                parse as f64 / (n / 10) as f64,
                encode as f64 / (n / 10) as f64
            );
        }
    }
}
