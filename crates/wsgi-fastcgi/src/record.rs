//! One record: eight bytes that say what it is, whose and how long; content; padding (FastCGI 1.0, 3.3).
//!
//! ```text
//!   0         1      2            4               6          7          8
//!   ├─────────┼──────┼────────────┼───────────────┼──────────┼──────────┼──────────────────┬─────────────────┐
//!   │ version │ kind │ request id │ content length│ padding  │ reserved │ content          │ padding         │
//!   │ 1       │      │ big-endian │ big-endian    │ length   │          │ 0 to 65,535 bytes│ 0 to 255 bytes  │
//!   └─────────┴──────┴────────────┴───────────────┴──────────┴──────────┴──────────────────┴─────────────────┘
//! ```

use wsgi_core::wire::Error;

/// What stands in front of a record's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u8,
    pub(crate) id: u16,
    pub(crate) content: u16,
    pub(crate) padding: u8,
}

impl Header {
    pub(crate) const BYTES: usize = 8;

    /// A header for this much content, padded so that the next record begins at a multiple of eight, as the specification recommends.
    pub(crate) const fn new(kind: u8, id: u16, content: u16) -> Header {
        Header { kind, id, content, padding: (content as u8).wrapping_neg() & 7 }
    }

    /// The header at the front of `input`, if that holds one. The reserved byte is not looked at.
    pub(crate) fn parse(input: &[u8]) -> Result<Option<Header>, Error> {
        match *input {
            [version, ..] if version != VERSION => {
                Err(Error::malformed(format!("FastCGI record has version {version}, expected {VERSION}")))
            }
            [_, kind, id_high, id_low, content_high, content_low, padding, _, ..] => Ok(Some(Header {
                kind,
                id: u16::from_be_bytes([id_high, id_low]),
                content: u16::from_be_bytes([content_high, content_low]),
                padding,
            })),
            _ => Ok(None),
        }
    }

    pub(crate) const fn to_bytes(self) -> [u8; Header::BYTES] {
        let [id_high, id_low] = self.id.to_be_bytes();
        let [content_high, content_low] = self.content.to_be_bytes();
        [VERSION, self.kind, id_high, id_low, content_high, content_low, self.padding, 0]
    }

    /// The bytes of content and padding.
    pub(crate) fn rest(self) -> usize {
        usize::from(self.content) + usize::from(self.padding)
    }
}

/// What a record is (FastCGI 1.0, 8).
pub(crate) mod kind {
    pub(crate) const BEGIN_REQUEST: u8 = 1;
    pub(crate) const ABORT_REQUEST: u8 = 2;
    pub(crate) const END_REQUEST: u8 = 3;
    pub(crate) const PARAMS: u8 = 4;
    pub(crate) const STDIN: u8 = 5;
    pub(crate) const STDOUT: u8 = 6;
    pub(crate) const STDERR: u8 = 7;
    pub(crate) const DATA: u8 = 8;
    pub(crate) const GET_VALUES: u8 = 9;
    pub(crate) const GET_VALUES_RESULT: u8 = 10;
    pub(crate) const UNKNOWN_TYPE: u8 = 11;
}

/// The role of an application that answers requests. The others are authorizer, 2, and filter, 3.
pub(crate) const RESPONDER: u16 = 1;
/// The flag of a `BEGIN_REQUEST` that lets the connection live on after the reply.
pub(crate) const KEEP_CONN: u8 = 1;
/// The content of the records that have a fixed one: `BEGIN_REQUEST`, `END_REQUEST`, `UNKNOWN_TYPE`.
pub(crate) const FIXED_BYTES: u16 = 8;
/// The most content of a record that needs no padding.
pub(crate) const MOST_UNPADDED: u16 = !7;

/// How an `END_REQUEST` says that a request ended.
pub(crate) mod status {
    pub(crate) const REQUEST_COMPLETE: u8 = 0;
    pub(crate) const CANT_MPX_CONN: u8 = 1;
    pub(crate) const OVERLOADED: u8 = 2;
    pub(crate) const UNKNOWN_ROLE: u8 = 3;
}

/// Appends one record.
pub(crate) fn push(kind: u8, id: u16, content: &[u8], out: &mut Vec<u8>) {
    debug_assert!(content.len() <= usize::from(u16::MAX));
    let header = Header::new(kind, id, content.len() as u16);
    out.reserve(Header::BYTES + header.rest());
    out.extend_from_slice(&header.to_bytes());
    out.extend_from_slice(content);
    pad(header.padding, out);
}

/// Appends a piece of a stream, in as many records as that takes. Nothing for an empty piece, which would end the stream.
pub(crate) fn push_stream(kind: u8, id: u16, piece: &[u8], out: &mut Vec<u8>) {
    for content in piece.chunks(usize::from(MOST_UNPADDED)) {
        push(kind, id, content, out);
    }
}

/// Appends the end of a stream.
pub(crate) fn push_end(kind: u8, id: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&Header::new(kind, id, 0).to_bytes());
}

/// Appends an `END_REQUEST`. The status that a script would exit with is always 0: no web server looks at it.
pub(crate) fn push_end_request(id: u16, protocol_status: u8, out: &mut Vec<u8>) {
    push(kind::END_REQUEST, id, &[0, 0, 0, 0, protocol_status, 0, 0, 0], out);
}

/// Appends up to 255 bytes of padding. Their value means nothing.
pub(crate) fn pad(bytes: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; u8::MAX as usize][..usize::from(bytes)]);
}

/// The version of the protocol, which is the first byte of each record.
pub(crate) const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_is_written() {
        for (content, padding) in [(0, 0), (1, 7), (7, 1), (8, 0), (9, 7), (65_528, 0), (65_535, 1)] {
            let header = Header::new(kind::STDOUT, 0x1234, content);
            assert_eq!(header.padding, padding);
            let bytes = header.to_bytes();
            assert_eq!(Header::parse(&bytes), Ok(Some(header)));
            for cut in 0..bytes.len() {
                assert_eq!(Header::parse(&bytes[..cut]), Ok(None));
            }
            assert_eq!((Header::BYTES + header.rest()) % 8, 0);
        }
        assert_eq!(Header::parse(&[2]).unwrap_err().to_string(), "FastCGI record has version 2, expected 1");
    }

    #[test]
    fn a_piece_of_a_stream_takes_as_many_records_as_it_needs() {
        for (len, lengths) in
            [(0, &[][..]), (1, &[1]), (65_528, &[65_528]), (65_529, &[65_528, 1]), (200_000, &[65_528, 65_528, 65_528, 3_416])]
        {
            let mut out = Vec::new();
            push_stream(kind::STDOUT, 7, &vec![b'x'; len], &mut out);
            let (mut rest, mut seen) = (&out[..], Vec::new());
            while let Some(header) = Header::parse(rest).unwrap() {
                assert_eq!((header.kind, header.id), (kind::STDOUT, 7));
                seen.push(header.content);
                rest = &rest[Header::BYTES + header.rest()..];
            }
            assert_eq!((seen.as_slice(), rest), (lengths, &[][..]));
        }
    }
}
