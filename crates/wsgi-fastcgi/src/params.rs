//! Names and values (FastCGI 1.0, 3.4): two lengths, then the two texts. A length below 128 is one byte, any other is four, big-endian, with
//! the highest bit set.
//!
//! The pairs of a request are one stream that its `PARAMS` records cut anywhere, also inside a length; so they are read when the stream has
//! ended.

use wsgi_core::wire::Error;

/// The pairs of a whole stream, in order.
///
/// An error ends them: a length that is cut off, a text that runs past the end, a name without a byte. A value may be empty, and a length may
/// take four bytes although one would do.
pub(crate) struct Pairs<'a> {
    rest: &'a [u8],
}

impl<'a> Pairs<'a> {
    pub(crate) fn new(stream: &'a [u8]) -> Pairs<'a> {
        Pairs { rest: stream }
    }

    fn pair(&mut self) -> Result<(&'a [u8], &'a [u8]), Error> {
        let name = self.length()?;
        let value = self.length()?;
        let left = self.rest.len();
        // Neither length has more than 31 bits, so their sum fits in 64.
        if u64::from(name) + u64::from(value) > left as u64 {
            return Err(Error::malformed(format!(
                "FastCGI parameter has a name of {name} and a value of {value} bytes, but its stream has only {left} more"
            )));
        }
        if name == 0 {
            return Err(Error::malformed("FastCGI parameter has an empty name"));
        }
        let (name, rest) = self.rest.split_at(name as usize);
        let (value, rest) = rest.split_at(value as usize);
        self.rest = rest;
        Ok((name, value))
    }

    fn length(&mut self) -> Result<u32, Error> {
        let (length, rest) = match *self.rest {
            [length @ 0..SHORT, ref rest @ ..] => (u32::from(length), rest),
            [a, b, c, d, ref rest @ ..] => (u32::from_be_bytes([a, b, c, d]) & !LONG, rest),
            _ => return Err(Error::malformed("FastCGI parameters end inside a length")),
        };
        self.rest = rest;
        Ok(length)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let pair = self.pair();
        if pair.is_err() {
            self.rest = &[];
        }
        Some(pair)
    }
}

/// Appends one pair. False, and nothing, if a text is longer than the 31 bits of a length can say.
pub(crate) fn push(name: &[u8], value: &[u8], out: &mut Vec<u8>) -> bool {
    let lengths = [name.len(), value.len()].map(|len| u32::try_from(len).ok().filter(|len| len & LONG == 0));
    let [Some(name_len), Some(value_len)] = lengths else { return false };
    out.reserve(8 + name.len() + value.len());
    for length in [name_len, value_len] {
        match u8::try_from(length) {
            Ok(short @ 0..SHORT) => out.push(short),
            _ => out.extend_from_slice(&(length | LONG).to_be_bytes()),
        }
    }
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    true
}

const SHORT: u8 = 128;
const LONG: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &[u8]) -> Result<Vec<[Vec<u8>; 2]>, Error> {
        Pairs::new(stream).map(|pair| pair.map(|(name, value)| [name.to_vec(), value.to_vec()])).collect()
    }

    #[test]
    fn pairs_are_read_as_they_are_written() {
        let lengths = [0, 1, 127, 128, 129, 255, 256, 65_535, 65_536];
        for name in &lengths[1..] {
            for value in lengths {
                let (name, value) = (vec![b'n'; *name], vec![b'v'; value]);
                let mut stream = Vec::new();
                assert!(push(&name, &value, &mut stream) && push(b"a", b"b", &mut stream));
                assert_eq!(read(&stream).unwrap(), [[name, value], [b"a".to_vec(), b"b".to_vec()]]);
            }
        }
    }

    #[test]
    fn lengths_take_one_byte_or_four() {
        let mut stream = Vec::new();
        push(b"SERVER_PORT", b"80", &mut stream);
        assert_eq!(stream, b"\x0b\x02SERVER_PORT80");
        stream.clear();
        push(b"n", &[b'v'; 128], &mut stream);
        assert_eq!(stream[..6], *b"\x01\x80\x00\x00\x80n");
        assert_eq!(read(b"\x80\x00\x00\x01\x80\x00\x00\x00n").unwrap(), [[b"n".to_vec(), vec![]]]);
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_inside_a_pair_is_an_error() {
        let mut stream = Vec::new();
        push(b"HTTP_X", &[b'v'; 200], &mut stream);
        for cut in 1..stream.len() {
            assert!(read(&stream[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_length_that_lies_is_an_error_and_costs_no_memory() {
        for stream in [
            &b"\x02\x01ab"[..],
            b"\x01\x02ab",
            b"\x7f\x00a",
            b"\xff\xff\xff\xff\xff\xff\xff\xffab",
            b"\xff\xff\xff\xff\x00a",
            b"\x01\xff\xff\xff\xffa",
            b"\x80\x00\x00",
            b"\x01\x80",
            b"\x00\x00",
            b"\x00\x01a",
        ] {
            assert!(read(stream).is_err(), "{}", stream.escape_ascii());
        }
        assert_eq!(
            read(b"\x02\x09abc").unwrap_err().to_string(),
            "FastCGI parameter has a name of 2 and a value of 9 bytes, but its stream has only 3 more"
        );
    }

    #[test]
    fn an_error_ends_the_pairs() {
        let mut pairs = Pairs::new(b"\x01\x00a\x00\x00\x01\x00b");
        assert!(pairs.next().unwrap().is_ok());
        assert!(pairs.next().unwrap().is_err());
        assert!(pairs.next().is_none());
    }
}
