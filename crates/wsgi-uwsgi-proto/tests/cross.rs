//! The client's codec against the server's: what one writes the other reads, whatever the variables, the bodies and the cuts.

use bytes::BytesMut;
use wsgi_core::wire::{Address, Dialect, Event, HttpDate, Link, Protocol, RequestHead, ResponseHead};
use wsgi_uwsgi_proto::client::{self, Reply};
use wsgi_uwsgi_proto::{Scgi, Uwsgi};

#[test]
fn any_request_arrives_as_it_was_made() {
    let mut random = Random(1);
    for _ in 0..500 {
        let body = random.bytes(300);
        let mut variables: Vec<(Vec<u8>, Vec<u8>)> = vec![
            (b"REQUEST_METHOD".to_vec(), b"POST".to_vec()),
            (b"PATH_INFO".to_vec(), [b"/", &random.bytes(20)[..]].concat()),
            (b"SCRIPT_NAME".to_vec(), vec![]),
            (b"SERVER_PROTOCOL".to_vec(), b"HTTP/1.1".to_vec()),
            (b"REMOTE_ADDR".to_vec(), random.bytes(10)),
            (b"SERVER_NAME".to_vec(), b"example.org".to_vec()),
            (b"CONTENT_LENGTH".to_vec(), body.len().to_string().into_bytes()),
        ];
        for index in 0..random.below(60) {
            variables.push(([format!("X{index}_").as_bytes(), &random.bytes(20)].concat(), random.bytes(100)));
        }
        let mut bytes = Vec::new();
        client::encode(client::WSGI, variables.iter().map(|(name, value)| (name, value)), &mut bytes).unwrap();
        bytes.extend_from_slice(&body);
        let (head, received) = request(uwsgi(), &bytes, &mut random);
        variables.sort();
        assert_eq!(sorted(&head), variables);
        assert_eq!(received, body);

        // A gateway hands on what it got, and nothing changes on the way.
        let mut again = Vec::new();
        client::encode_head(client::WSGI, &head, &mut again).unwrap();
        again.extend_from_slice(&received);
        assert_eq!(again.len(), bytes.len());
        assert_eq!(sorted(&request(uwsgi(), &again, &mut random).0), variables);
    }
}

#[test]
fn any_reply_arrives_as_it_was_made() {
    let mut random = Random(2);
    let variables = "CONTENT_LENGTH\x000\0SCGI\x001\0REQUEST_METHOD\0GET\0REQUEST_URI\0/\0";
    let scgi_request = format!("{}:{variables},", variables.len()).into_bytes();
    let mut uwsgi_request = Vec::new();
    client::encode(client::WSGI, [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/")], &mut uwsgi_request).unwrap();
    for round in 0..500 {
        let (mut codec, asked) = if round % 2 == 0 { (uwsgi(), &uwsgi_request[..]) } else { (scgi(), &scgi_request[..]) };
        let (mut head, mut out) = (RequestHead::default(), Vec::new());
        assert_eq!(codec.poll(&mut BytesMut::from(asked), &mut head, &mut out), Ok(Event::Head));

        let blocks: Vec<_> = (0..random.below(5)).map(|_| random.bytes(200)).collect();
        let body = blocks.concat();
        let mut made = ResponseHead::new([&b"200 OK"[..], b"404 Not Found", b"599 \xe9"][random.below(3)]).unwrap();
        for index in 0..random.below(20) {
            let value: Vec<u8> = random.bytes(50).into_iter().filter(|&byte| byte > b' ' && byte != 0x7f).collect();
            made.field(format!("X-{index}").as_bytes(), &value).unwrap();
        }
        let declared = random.below(2) == 0;
        if declared {
            made.set_content_length(body.len() as u64);
        }
        codec.start(&made, &HttpDate::from_unix(0), &mut out);
        for block in &blocks {
            codec.data(block, &mut out);
        }
        codec.finish(&mut out);

        let (seen, received) = reply(&out, &mut random);
        assert_eq!((seen.status_line(), seen.lines()), (made.status_line(), made.lines()));
        assert_eq!(seen.content_length(), declared.then_some(body.len() as u64));
        assert_eq!(received, body);
    }
}

// --------------------------------------------------------------------------------------------------------------------------------------------

fn uwsgi() -> Box<dyn Protocol> {
    Uwsgi::new().connect(&link())
}

fn scgi() -> Box<dyn Protocol> {
    Scgi::new().connect(&link())
}

fn link() -> Link {
    Link { local: Address::Unix(None), remote: Address::Unix(None), secure: false }
}

fn sorted(head: &RequestHead) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut variables: Vec<_> = head.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
    variables.sort();
    variables
}

/// Reads a request that arrives in pieces of any length.
fn request(mut codec: Box<dyn Protocol>, mut bytes: &[u8], random: &mut Random) -> (RequestHead, Vec<u8>) {
    let (mut input, mut head, mut body) = (BytesMut::new(), RequestHead::default(), Vec::new());
    loop {
        match codec.poll(&mut input, &mut head, &mut Vec::new()).unwrap() {
            Event::NeedInput => feed(&mut input, &mut bytes, random),
            Event::Body(piece) => body.extend_from_slice(&piece),
            Event::EndOfBody => return (head, body),
            Event::Head | Event::Closed => {}
        }
    }
}

/// Reads a reply that arrives in pieces of any length.
fn reply(mut bytes: &[u8], random: &mut Random) -> (ResponseHead, Vec<u8>) {
    let (mut reply, mut input, mut head, mut body) = (Reply::to(b"GET"), BytesMut::new(), ResponseHead::default(), Vec::new());
    loop {
        let event = if bytes.is_empty() { reply.end(&mut input, &mut head) } else { reply.poll(&mut input, &mut head) };
        match event.unwrap() {
            client::Event::NeedInput => feed(&mut input, &mut bytes, random),
            client::Event::Body(piece) => body.extend_from_slice(&piece),
            client::Event::Head => {}
            client::Event::End => return (head, body),
        }
    }
}

fn feed(input: &mut BytesMut, bytes: &mut &[u8], random: &mut Random) {
    assert!(!bytes.is_empty(), "more is asked for than there is");
    let (piece, rest) = bytes.split_at(1 + random.below(bytes.len().min(200)));
    input.extend_from_slice(piece);
    *bytes = rest;
}

/// Numbers that look random and are the same everywhere (xorshift64).
struct Random(u64);

impl Random {
    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.below(256) as u8).collect()
    }
}
