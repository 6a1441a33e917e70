//! Records written and read by hand, so that the codecs are not tested by themselves.
#![allow(dead_code, unreachable_pub)] // Each test program uses its own part.

use wsgi_core::wire::{Address, Link};

pub const BEGIN: u8 = 1;
pub const ABORT: u8 = 2;
pub const END: u8 = 3;
pub const PARAMS: u8 = 4;
pub const STDIN: u8 = 5;
pub const STDOUT: u8 = 6;
pub const STDERR: u8 = 7;
pub const DATA: u8 = 8;
pub const GET_VALUES: u8 = 9;
pub const VALUES: u8 = 10;
pub const UNKNOWN: u8 = 11;

pub const KEEP: u8 = 1;

/// One record with so much padding, which is not zero.
pub fn padded(kind: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let (id, length) = (id.to_be_bytes(), u16::try_from(content.len()).unwrap().to_be_bytes());
    let mut bytes = vec![1, kind, id[0], id[1], length[0], length[1], padding, 0xee];
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len() + usize::from(padding), 0x5a);
    bytes
}

pub fn record(kind: u8, id: u16, content: impl AsRef<[u8]>) -> Vec<u8> {
    padded(kind, id, content.as_ref(), 0)
}

pub fn begin(id: u16, flags: u8) -> Vec<u8> {
    record(BEGIN, id, [0, 1, flags, 0, 0, 0, 0, 0])
}

/// The stream of some parameters.
pub fn stream(variables: &[(&str, &str)]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (name, value) in variables {
        for length in [name.len(), value.len()] {
            match length {
                0..128 => stream.push(length as u8),
                _ => stream.extend((length as u32 | 0x8000_0000).to_be_bytes()),
            }
        }
        stream.extend_from_slice(name.as_bytes());
        stream.extend_from_slice(value.as_bytes());
    }
    stream
}

/// A whole request in the plainest form.
pub fn request(id: u16, flags: u8, variables: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut bytes = [begin(id, flags), record(PARAMS, id, stream(variables)), record(PARAMS, id, "")].concat();
    if !body.is_empty() {
        bytes.extend(record(STDIN, id, body));
    }
    bytes.extend(record(STDIN, id, ""));
    bytes
}

/// Variables that make a request, with the body's length.
pub fn get(path: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", path)]
}

pub fn post(path: &'static str, length: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![("REQUEST_METHOD", "POST"), ("SCRIPT_NAME", path), ("CONTENT_LENGTH", length)]
}

/// The records in `bytes`, each by its kind, id and content; their padding must reach the next multiple of eight and no further.
#[track_caller]
pub fn records(mut bytes: &[u8]) -> Vec<(u8, u16, Vec<u8>)> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        assert!(bytes.len() >= 8 && bytes[0] == 1 && bytes[7] == 0, "no header: {}", bytes.escape_ascii());
        let (id, length) = (u16::from_be_bytes([bytes[2], bytes[3]]), usize::from(u16::from_be_bytes([bytes[4], bytes[5]])));
        let padding = usize::from(bytes[6]);
        assert!(padding < 8 && (length + padding) % 8 == 0, "{length} bytes are padded by {padding}");
        assert!(bytes.len() >= 8 + length + padding, "cut off: {}", bytes.escape_ascii());
        records.push((bytes[1], id, bytes[8..8 + length].to_vec()));
        bytes = &bytes[8 + length + padding..];
    }
    records
}

/// The content of one stream, which must have been ended if `ended`.
#[track_caller]
pub fn content(records: &[(u8, u16, Vec<u8>)], kind: u8, id: u16, ended: bool) -> Vec<u8> {
    let pieces: Vec<&Vec<u8>> = records.iter().filter(|record| (record.0, record.1) == (kind, id)).map(|record| &record.2).collect();
    let ends = pieces.iter().filter(|piece| piece.is_empty()).count();
    assert_eq!(ends, usize::from(ended), "ends of stream {kind} of {id}");
    assert_eq!(pieces.last().is_some_and(|piece| piece.is_empty()), ended, "the end comes last");
    pieces.into_iter().flatten().copied().collect()
}

pub fn end_request(id: u16, status: u8) -> (u8, u16, Vec<u8>) {
    (END, id, vec![0, 0, 0, 0, status, 0, 0, 0])
}

pub fn link() -> Link {
    let address = |text: &str| Address::Tcp(text.parse().unwrap());
    Link { local: address("192.0.2.1:9000"), remote: address("198.51.100.7:54321"), secure: false }
}

/// A small generator of numbers that are the same in every run (xorshift, George Marsaglia).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From 0 up to, but not, `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }

    pub fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    /// Mostly short, at times long, as lengths are.
    pub fn length(&mut self, most: usize) -> usize {
        let most = match self.below(4) {
            0 => most,
            1 => most / 16,
            _ => most.min(20),
        };
        self.below(most + 1)
    }

    /// Cuts into pieces, of which some are empty.
    pub fn pieces<'a>(&mut self, mut bytes: &'a [u8], most: usize) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(self.length(most).min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }

    pub fn text(&mut self, length: usize) -> String {
        (0..length).map(|_| (b' ' + self.below(94) as u8) as char).collect()
    }
}
