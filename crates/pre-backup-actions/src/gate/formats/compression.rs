//! The compressions that are read to their end. A decoder never needs more memory for a stranger's file than for the
//! largest one that its own program writes.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use lzma_rust2::XzReader;

use super::super::budget::WINDOW;
use super::BUFFER;
use super::zstd_frames::Frames;
use crate::declare::Kind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    Lz4,
}

impl Compression {
    /// What a file that begins with `magic` is compressed with.
    pub(super) fn of(magic: &[u8]) -> Compression {
        match magic {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50 => Compression::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            // A block, or the end of a file without one.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, ..] => Compression::Bzip2,
            [0x04, 0x22, 0x4d, 0x18, ..] => Compression::Lz4,
            _ => Compression::None,
        }
    }

    /// The compression that a declared kind is, if it is one.
    pub(super) fn declared_as(kind: Kind) -> Option<Compression> {
        match kind {
            Kind::Gzip => Some(Compression::Gzip),
            Kind::Zstd => Some(Compression::Zstd),
            Kind::Xz => Some(Compression::Xz),
            Kind::Bzip2 => Some(Compression::Bzip2),
            Kind::Lz4 => Some(Compression::Lz4),
            _ => None,
        }
    }

    /// `gzip's`, for a sentence.
    pub(super) fn word(self) -> &'static str {
        match self {
            Compression::None => "plain",
            Compression::Gzip => "gzip's",
            Compression::Zstd => "zstd's",
            Compression::Xz => "xz's",
            Compression::Bzip2 => "bzip2's",
            Compression::Lz4 => "lz4's",
        }
    }

    /// Reads what is packed in `file`.
    pub(super) fn reader<'a>(self, file: impl Read + 'a) -> Box<dyn Read + 'a> {
        let file = BufReader::with_capacity(BUFFER, file);
        match self {
            Compression::None => Box::new(file),
            Compression::Gzip => {
                Box::new(InOurWords { decoder: MultiGzDecoder::new(file), compression: self })
            }
            // It has words of its own.
            Compression::Zstd => Box::new(Frames::new(file)),
            Compression::Xz => {
                let most = u32::try_from(WINDOW >> 10).unwrap_or(u32::MAX);
                let decoder = XzReader::new_mem_limit(file, true, most);
                Box::new(InOurWords { decoder, compression: self })
            }
            Compression::Bzip2 => {
                Box::new(InOurWords { decoder: MultiBzDecoder::new(file), compression: self })
            }
            Compression::Lz4 => Box::new(InOurWords { decoder: Lz4Frames::new(file), compression: self }),
        }
    }
}

/// All frames of an lz4 file. Its decoder reads one, and takes a file that ends between two blocks for whole.
struct Lz4Frames<R: Read> {
    decoder: FrameDecoder<Ending<R>>,
    is_in_frame: bool,
}

/// A file that remembers that a decoder wanted more than there is.
struct Ending<R> {
    file: BufReader<R>,
    has_ended: bool,
}

impl<R: Read> Lz4Frames<R> {
    fn new(file: BufReader<R>) -> Lz4Frames<R> {
        Lz4Frames { decoder: FrameDecoder::new(Ending { file, has_ended: false }), is_in_frame: false }
    }
}

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.has_ended |= length == 0 && !buffer.is_empty();
        Ok(length)
    }
}

impl<R: Read> Read for Lz4Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.is_in_frame || !self.decoder.get_mut().file.fill_buf()?.is_empty() {
            let length = self.decoder.read(buffer)?;
            if length == 0 && self.decoder.get_ref().has_ended {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.is_in_frame = length > 0 || buffer.is_empty();
            if self.is_in_frame {
                return Ok(length);
            }
        }
        Ok(0)
    }
}

/// A decoder whose errors are for people: the crates print types of their own.
struct InOurWords<R> {
    decoder: R,
    compression: Compression,
}

impl<R: Read> Read for InOurWords<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(buffer).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::Interrupted => error,
            ErrorKind::OutOfMemory => io::Error::other("it needs more memory to unpack than any honest file"),
            _ => io::Error::other(format!("its data is not {}", self.compression.word())),
        })
    }
}
