//! Standard error as the log of this server. What cannot be written, as on a full disk, is counted, and told of as soon as something can be.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// Writes to standard error, in one piece, so that nothing an application prints comes in between.
pub(crate) fn say(text: &str) {
    let mut gap = GAP.lock().unwrap_or_else(PoisonError::into_inner);
    gap.write(&mut io::stderr().lock(), text.as_bytes());
}

/// The same for [`tracing`], which writes each line at once.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut gap = GAP.lock().unwrap_or_else(PoisonError::into_inner);
        gap.write(&mut io::stderr().lock(), line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the log lacks.
struct Gap {
    lost: u64,
    /// The last line that is there has no end.
    torn: bool,
    why: Option<io::Error>,
}

impl Gap {
    /// Nobody is left to tell if it fails; so that is told the next time.
    fn write(&mut self, stream: &mut impl Write, text: &[u8]) {
        if let Some(why) = &self.why {
            let end = if self.torn { "\n" } else { "" };
            let (lost, s) = (self.lost, if self.lost == 1 { "" } else { "s" });
            let told = format!("{end}serve: {lost} message{s} could not be written here: {why}\n");
            if let Err((_, torn)) = write(stream, told.as_bytes()) {
                self.lost += 1;
                self.torn |= torn;
                return;
            }
            *self = NONE;
        }
        if let Err((why, torn)) = write(stream, text) {
            *self = Gap { lost: 1, torn, why: Some(why) };
        }
    }
}

/// All of it, or why not, and whether a part of it is there.
fn write(stream: &mut impl Write, mut text: &[u8]) -> Result<(), (io::Error, bool)> {
    let mut begun = false;
    while !text.is_empty() {
        match stream.write(text) {
            Ok(0) => return Err((io::ErrorKind::WriteZero.into(), begun)),
            Ok(count) => (text, begun) = (&text[count..], true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((error, begun)),
        }
    }
    Ok(())
}

static GAP: Mutex<Gap> = Mutex::new(NONE);
const NONE: Gap = Gap { lost: 0, torn: false, why: None };

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, and then no more.
    struct Disk {
        text: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.text.extend_from_slice(&bytes[..count]);
            self.room -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_lost_is_told_when_there_is_room_again() {
        let (mut gap, mut disk) = (NONE, Disk { text: Vec::new(), room: 8 });
        for line in ["one\n", "two and\n", "three\n"] {
            gap.write(&mut disk, line.as_bytes());
        }
        assert_eq!(disk.text, b"one\ntwo ");
        disk.room = 1;
        gap.write(&mut disk, b"four\n");
        disk.room = 1000;
        gap.write(&mut disk, b"five\n");
        gap.write(&mut disk, b"six\n");
        let told = format!("serve: 3 messages could not be written here: {}\n", io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(String::from_utf8(disk.text).unwrap(), format!("one\ntwo \n\n{told}five\nsix\n"));
    }
}
