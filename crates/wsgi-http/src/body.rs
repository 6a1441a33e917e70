//! The body of a request: where it ends, by length or by chunks (RFC 9112, 6 and 7.1).
//!
//! ```text
//! Chunked:   Size ─▶ SizeLine ─▶ SizeLf ──▶ Data ─▶ DataCr ─▶ DataLf ─┐
//!             ▲  └─▶ Extension ─▶ ┘ │ (0)                             │
//!             └───────────────────────────────────────────────────────┘
//!                                   ▼
//!                 ┌──────────── Trailers ─▶ TrailersLf ─▶ End
//!                 │               ▲
//!                 └▶ Name ─▶ Value ─▶ ValueLf
//! ```
//!
//! Framing is understood a byte at a time, so where the network cut it cannot matter, and nothing waits in the caller's buffer.

use bytes::{Buf, Bytes, BytesMut};
use wsgi_core::wire::{BodyLength, Error, Limits, is_token};

use crate::head::is_text;

/// What is still to come of a request's body.
#[derive(Debug)]
pub(crate) enum Decoder {
    /// So many bytes.
    Length(u64),
    Chunked(Chunked),
}

/// What [`Decoder::poll`] understood.
pub(crate) enum Piece {
    More,
    Data(Bytes),
    End,
}

impl Decoder {
    pub(crate) fn new(length: BodyLength) -> Decoder {
        match length {
            BodyLength::Empty => Decoder::Length(0),
            BodyLength::Known(length) => Decoder::Length(length),
            BodyLength::Unknown => Decoder::Chunked(Chunked::default()),
        }
    }

    pub(crate) fn poll(&mut self, input: &mut BytesMut, limits: &Limits) -> Result<Piece, Error> {
        match self {
            Decoder::Length(0) => Ok(Piece::End),
            Decoder::Length(left) => Ok(take(left, input)),
            Decoder::Chunked(chunked) => chunked.poll(input, limits),
        }
    }

    /// Whether the whole body was taken.
    pub(crate) fn ended(&self) -> bool {
        matches!(self, Decoder::Length(0) | Decoder::Chunked(Chunked { step: Step::End, .. }))
    }
}

/// Takes what there is, up to `left`.
fn take(left: &mut u64, input: &mut BytesMut) -> Piece {
    let count = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    if count == 0 {
        return Piece::More;
    }
    *left -= count as u64;
    Piece::Data(input.split_to(count).freeze())
}

/// A chunked body, somewhere inside.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    step: Step,
    /// The digits of the chunk size so far.
    digits: u8,
    /// The chunk's size while it is read, then what is left of the chunk.
    size: u64,
    /// The sizes of all chunks up to this.
    total: u64,
    /// The bytes of all extensions, then of the trailers.
    extra: usize,
    /// The fields of the trailers.
    fields: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// The digits of a chunk's size.
    #[default]
    Size,
    /// White space between the size and `;`: "bad", but to be taken (RFC 9112, 7.1.1; RFC 9110, 5.6.3).
    SizeSpace,
    /// After a `;`, before the extension's name.
    ExtensionStart,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer field, or of the empty line that ends them.
    Trailers,
    TrailersLf,
    Name,
    Value,
    ValueLf,
    End,
}

impl Chunked {
    fn poll(&mut self, input: &mut BytesMut, limits: &Limits) -> Result<Piece, Error> {
        loop {
            match self.step {
                Step::End => return Ok(Piece::End),
                Step::Data => {
                    let piece = take(&mut self.size, input);
                    if self.size == 0 {
                        self.step = Step::DataCr;
                    }
                    return Ok(piece);
                }
                _ => {}
            }
            let Some(&byte) = input.first() else { return Ok(Piece::More) };
            // A byte that is not understood stays, so that a codec that is asked again gives the same answer.
            self.step = self.framing(byte, limits)?;
            input.advance(1);
        }
    }

    /// The step after this byte.
    fn framing(&mut self, byte: u8, limits: &Limits) -> Result<Step, Error> {
        match (self.step, byte) {
            (Step::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if self.digits == SIZE_DIGITS {
                    return Err(Error::malformed("chunk size has more than 16 digits"));
                }
                self.digits += 1;
                self.size = self.size << 4 | u64::from((byte as char).to_digit(16).unwrap_or_default());
                Ok(Step::Size)
            }
            (Step::Size, _) if self.digits == 0 => Err(unexpected("where a chunk size is expected", byte)),
            (Step::Size, b' ' | b'\t') => {
                self.extra(limits)?;
                Ok(Step::SizeSpace)
            }
            (Step::SizeSpace, b' ' | b'\t') => {
                self.extra(limits)?;
                Ok(Step::SizeSpace)
            }
            (Step::Size | Step::SizeSpace, b';') => {
                self.extra(limits)?;
                Ok(Step::ExtensionStart)
            }
            (Step::ExtensionStart, b' ' | b'\t') => {
                self.extra(limits)?;
                Ok(Step::ExtensionStart)
            }
            (Step::ExtensionStart, _) if is_token(byte) => {
                self.extra(limits)?;
                Ok(Step::Extension)
            }
            (Step::ExtensionStart, _) => Err(unexpected("where the name of a chunk extension is expected", byte)),
            (Step::Extension, _) if is_text(byte) => {
                self.extra(limits)?;
                Ok(Step::Extension)
            }
            (Step::Size | Step::Extension, b'\r') => Ok(Step::SizeLf),
            (Step::Size | Step::SizeSpace, _) => Err(unexpected("after a chunk size", byte)),
            (Step::Extension, _) => Err(unexpected("in a chunk extension", byte)),
            (Step::SizeLf, b'\n') => self.size_known(limits),
            (Step::DataCr, b'\r') => Ok(Step::DataLf),
            (Step::DataLf, b'\n') => Ok(Step::Size),
            (Step::DataCr | Step::DataLf, _) => Err(unexpected("after a chunk, where CR LF is expected", byte)),
            (Step::Trailers, b'\r') => Ok(Step::TrailersLf),
            (Step::TrailersLf, b'\n') => Ok(Step::End),
            (Step::Trailers, _) if is_token(byte) => {
                if self.fields == limits.fields {
                    return Err(Error::TooManyFields { limit: limits.fields });
                }
                self.fields += 1;
                self.trailer(limits)?;
                Ok(Step::Name)
            }
            (Step::Name, _) if is_token(byte) => {
                self.trailer(limits)?;
                Ok(Step::Name)
            }
            (Step::Name, b':') => {
                self.trailer(limits)?;
                Ok(Step::Value)
            }
            (Step::Trailers | Step::Name, _) => Err(unexpected("in the name of a trailer field", byte)),
            (Step::Value, b'\r') => Ok(Step::ValueLf),
            (Step::Value, _) if is_text(byte) => {
                self.trailer(limits)?;
                Ok(Step::Value)
            }
            (Step::Value, _) => Err(unexpected("in the value of a trailer field", byte)),
            (Step::ValueLf, b'\n') => Ok(Step::Trailers),
            (Step::SizeLf | Step::TrailersLf | Step::ValueLf, _) => Err(unexpected("after CR, where LF is expected", byte)),
            // `poll` handles these before it takes a byte.
            (Step::Data | Step::End, _) => Ok(self.step),
        }
    }

    /// At the end of a line with a chunk's size.
    fn size_known(&mut self, limits: &Limits) -> Result<Step, Error> {
        self.digits = 0;
        if self.size == 0 {
            self.extra = 0;
            return Ok(Step::Trailers);
        }
        let total = self.total.checked_add(self.size).ok_or_else(|| Error::malformed("chunk sizes add up to more than 64 bits hold"))?;
        if let Some(limit) = limits.body_bytes.filter(|&limit| total > limit) {
            return Err(Error::BodyTooLarge { limit });
        }
        self.total = total;
        Ok(Step::Data)
    }

    /// One more byte of an extension. They are bounded over the whole body, for a chunk of one byte can carry any number of them.
    fn extra(&mut self, limits: &Limits) -> Result<(), Error> {
        if self.extra == limits.head_bytes {
            return Err(Error::malformed(format!("chunk extensions exceed {} bytes", limits.head_bytes)));
        }
        self.extra += 1;
        Ok(())
    }

    fn trailer(&mut self, limits: &Limits) -> Result<(), Error> {
        if self.extra == limits.head_bytes {
            return Err(Error::HeadTooLarge { limit: limits.head_bytes });
        }
        self.extra += 1;
        Ok(())
    }
}

fn unexpected(place: &str, byte: u8) -> Error {
    Error::malformed(format!("byte 0x{byte:02x} {place}"))
}

/// As many as 64 bits need.
const SIZE_DIGITS: u8 = 16;
