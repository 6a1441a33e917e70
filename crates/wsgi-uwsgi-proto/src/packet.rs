//! The uwsgi packet: a header of four bytes, then variables, each with its length in front. What both sides know of the format is here.
//!
//! ```text
//! modifier1 u8 │ size u16 │ modifier2 u8 ║ length u16 │ name │ length u16 │ value ║ …      numbers are little-endian
//! ```

use wsgi_core::wire::Error;

/// The first four bytes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// What kind of packet it is.
    pub(crate) modifier1: u8,
    /// The bytes of variables that follow.
    pub(crate) size: u16,
    /// What that means depends on the kind.
    pub(crate) modifier2: u8,
}

impl Header {
    pub(crate) const BYTES: usize = 4;

    pub(crate) const fn parse(bytes: [u8; Header::BYTES]) -> Header {
        let [modifier1, low, high, modifier2] = bytes;
        Header { modifier1, size: u16::from_le_bytes([low, high]), modifier2 }
    }

    pub(crate) const fn to_bytes(self) -> [u8; Header::BYTES] {
        let [low, high] = self.size.to_le_bytes();
        [self.modifier1, low, high, self.modifier2]
    }
}

/// The variables of a packet, each checked when its turn comes. Nothing comes after an error.
///
/// A name must not be empty, a value may be; an entry must end within the packet, and the last one at its end.
pub(crate) struct Variables<'a> {
    rest: &'a [u8],
    size: usize,
}

impl<'a> Variables<'a> {
    /// Of the bytes that follow the header.
    pub(crate) fn of(packet: &'a [u8]) -> Variables<'a> {
        Variables { rest: packet, size: packet.len() }
    }

    #[inline]
    fn pair(&mut self) -> Result<(&'a [u8], &'a [u8]), Broken> {
        let at = self.size - self.rest.len();
        let name = self.take(Part::Name)?;
        if name.is_empty() {
            return Err(Broken { part: Part::Name, at, end: End::Empty });
        }
        Ok((name, self.take(Part::Value)?))
    }

    /// Takes a length, and so many bytes.
    #[inline]
    fn take(&mut self, part: Part) -> Result<&'a [u8], Broken> {
        let at = self.size - self.rest.len();
        let [low, high, rest @ ..] = self.rest else { return Err(Broken { part, at, end: End::InLength }) };
        let length = u16::from_le_bytes([*low, *high]);
        let Some((bytes, behind)) = rest.split_at_checked(usize::from(length)) else {
            return Err(Broken { part, at, end: End::After { left: rest.len() as u16, length } });
        };
        self.rest = behind;
        Ok(bytes)
    }
}

impl<'a> Iterator for Variables<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Broken>;

    #[inline]
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

/// Where a packet is not sound. Put into words only when that is known: the words would cost each sound variable more than its reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    part: Part,
    /// Where the length of that part stands, counted from the end of the header.
    at: usize,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Name,
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    InLength,
    After { left: u16, length: u16 },
    Empty,
}

impl From<Broken> for Error {
    #[cold]
    fn from(broken: Broken) -> Error {
        let Broken { part, at, end } = broken;
        let part = match part {
            Part::Name => "name",
            Part::Value => "value",
        };
        Error::malformed(match end {
            End::InLength => format!("uwsgi packet ends inside the length of a {part} at byte {at}"),
            End::After { left, length } => {
                format!("uwsgi packet ends {left} bytes into the {part} at byte {at}, expected {length} bytes")
            }
            End::Empty => format!("uwsgi packet has an empty {part} at byte {at}, expected at least 1 byte"),
        })
    }
}

/// A request for a WSGI application.
pub(crate) const WSGI: u8 = 0;
/// The same, with `SCRIPT_NAME` still at the front of `PATH_INFO`.
pub(crate) const MANAGE_PATH_INFO: u8 = 30;
/// Asks whether somebody is there; with a modifier2 other than 0 it is the answer.
pub(crate) const PING: u8 = 100;

/// What other kinds of packet are for, so that a refusal can name it.
pub(crate) fn purpose(modifier1: u8) -> &'static str {
    match modifier1 {
        5 => "PSGI",
        6 => "Lua",
        7 => "Rack",
        8 => "JVM",
        9 => "CGI",
        10 => "management",
        14 => "PHP",
        15 => "Mono",
        17 => "spooler",
        18 => "call of a symbol",
        22 => "evaluation of code",
        23 => "XSLT",
        24 => "V8",
        31..=33 => "message",
        48 => "SNMP",
        73 | 74 | 95 => "cluster",
        96 => "log message",
        97 | 98 => "reload",
        99 => "configuration",
        101 => "echo",
        109 => "legion",
        110 => "signal",
        111 => "cache",
        173 => "RPC",
        200 => "close mark",
        224 => "subscription",
        255 => "reply",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = Vec<(&'a [u8], &'a [u8])>;

    fn read(packet: &[u8]) -> Result<Pairs<'_>, String> {
        Variables::of(packet).collect::<Result<_, _>>().map_err(|broken| Error::from(broken).to_string())
    }

    #[test]
    fn headers_are_little_endian() {
        let header = Header { modifier1: 30, size: 0x1234, modifier2: 7 };
        assert_eq!(header.to_bytes(), [30, 0x34, 0x12, 7]);
        assert_eq!(Header::parse(header.to_bytes()), header);
    }

    #[test]
    fn every_entry_is_checked() {
        let sound: &[u8] = b"\x01\0A\0\0\x02\0BC\x01\0\xff";
        assert_eq!(read(sound), Ok(vec![(&b"A"[..], &b""[..]), (b"BC", b"\xff")]));
        assert_eq!(read(b""), Ok(vec![]));
        for (packet, error) in [
            (&b"\x01"[..], "uwsgi packet ends inside the length of a name at byte 0"),
            (b"\0\0\0\0", "uwsgi packet has an empty name at byte 0, expected at least 1 byte"),
            (b"\x02\0A", "uwsgi packet ends 1 bytes into the name at byte 0, expected 2 bytes"),
            (b"\x01\0A", "uwsgi packet ends inside the length of a value at byte 3"),
            (b"\x01\0A\x01", "uwsgi packet ends inside the length of a value at byte 3"),
            (b"\x01\0A\x05\0abcd", "uwsgi packet ends 4 bytes into the value at byte 3, expected 5 bytes"),
            (b"\x01\0A\xff\xff", "uwsgi packet ends 0 bytes into the value at byte 3, expected 65535 bytes"),
            (b"\x01\0A\0\0\0", "uwsgi packet ends inside the length of a name at byte 5"),
        ] {
            assert_eq!(read(packet), Err(error.to_owned()));
        }
        let mut broken = Variables::of(b"\x09\0A");
        assert!(broken.next().is_some_and(|entry| entry.is_err()));
        assert!(broken.next().is_none());
    }
}
