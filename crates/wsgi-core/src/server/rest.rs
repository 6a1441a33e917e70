//! The rest of a reply that no handler waits for: bytes and ranges of files, each piece queued or moved once the peer has taken the last.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;

use super::connection::Connection;
use crate::exchange::{self, COPY_BYTES, Part};

/// What is still to be sent of a body, in order.
pub(super) struct Rest {
    parts: VecDeque<Part>,
    /// How many bytes of the file in front the protocol was told of, and are not sent yet.
    announced: u64,
    /// The system cannot move the file in front by itself.
    copied: bool,
}

/// What came of going on.
pub(super) enum Progress {
    /// Something was queued or moved; so many bytes of the body.
    Some(usize),
    /// The system takes nothing now.
    Full,
    /// There is nothing left.
    Done,
}

impl Rest {
    pub(super) fn new(parts: Vec<Part>) -> Rest {
        Rest { parts: parts.into(), announced: 0, copied: false }
    }

    /// Whether what was begun must be ended before anything else is said.
    pub(super) fn inside_piece(&self) -> bool {
        self.announced > 0
    }

    /// Queues or moves the next piece. The connection's output is empty, and what is there afterwards is to be sent before the next call.
    ///
    /// # Errors
    /// The peer is gone; or the file cannot be read, or ends before its range does. The reply cannot be completed.
    pub(super) fn advance(&mut self, connection: &mut Connection) -> io::Result<Progress> {
        let Connection { socket, protocol, output, delivery, .. } = connection;
        let Some(part) = self.parts.front_mut() else { return Ok(Progress::Done) };
        let (file, range) = match part {
            Part::Bytes(bytes) if bytes.is_empty() => return Ok(self.next_part()),
            Part::File { range, .. } if range.is_empty() => return Ok(self.next_part()),
            Part::Bytes(bytes) => {
                let piece: Bytes = bytes.split_to(bytes.len().min(COPY_BYTES));
                protocol.data(&piece, output);
                return Ok(Progress::Some(piece.len()));
            }
            Part::File { file, range } => (file, range),
        };
        if self.announced == 0 {
            let piece = (range.end - range.start).min(protocol.raw_limit());
            if !protocol.raw(piece, output) {
                let mut block = vec![0; COPY_BYTES];
                let got = exchange::read_some(file, range.clone(), &mut block)?;
                protocol.data(&block[..got], output);
                range.start += got as u64;
                return Ok(Progress::Some(got));
            }
            self.announced = piece;
            if !output.is_empty() {
                return Ok(Progress::Some(0));
            }
        }
        let piece = range.start..range.start + self.announced;
        let moved = if self.copied {
            let mut block = vec![0; COPY_BYTES];
            let got = exchange::read_some(file, piece, &mut block)?;
            output.extend_from_slice(&block[..got]);
            range.start += got as u64;
            got
        } else {
            let len = usize::try_from(self.announced).unwrap_or(usize::MAX).min(SEND_FILE_BYTES);
            match socket.send_file(file, &mut range.start, len) {
                Ok(Some(0)) => return Ok(Progress::Full),
                Ok(Some(moved)) => {
                    delivery.iter_mut().for_each(|delivery| delivery.took(moved));
                    moved
                }
                Ok(None) => return Err(exchange::ended_early(&piece)),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.copied = true;
                    return Ok(Progress::Some(0));
                }
                Err(error) => return Err(error),
            }
        };
        self.announced -= moved as u64;
        if self.announced == 0 {
            protocol.raw_end(output);
        }
        Ok(Progress::Some(moved))
    }

    fn next_part(&mut self) -> Progress {
        self.parts.pop_front();
        self.copied = false;
        Progress::Some(0)
    }
}

/// One `sendfile`: a disk that is slow must not keep the thread for long.
const SEND_FILE_BYTES: usize = 1 << 20;
