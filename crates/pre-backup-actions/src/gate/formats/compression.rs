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

/// What a file that begins with `magic` is compressed with, if it is.
pub(super) fn of(magic: &[u8]) -> Option<Kind> {
    match magic {
        [0x1f, 0x8b, ..] => Some(Kind::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Kind::Zstd),
        [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50 => Some(Kind::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Kind::Xz),
        // A block, or the end of a file without one.
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, ..] => Some(Kind::Bzip2),
        [0x04, 0x22, 0x4d, 0x18, ..] => Some(Kind::Lz4),
        _ => None,
    }
}

pub(super) fn reader<'a>(packed: Option<Kind>, file: impl Read + 'a) -> Box<dyn Read + 'a> {
    let file = BufReader::with_capacity(BUFFER, file);
    let decoder: Box<dyn Read + 'a> = match packed {
        Some(Kind::Gzip) => Box::new(MultiGzDecoder::new(file)),
        // It has words of its own.
        Some(Kind::Zstd) => return Box::new(Frames::new(file)),
        Some(Kind::Xz) => {
            let most = u32::try_from(WINDOW >> 10).unwrap_or(u32::MAX);
            Box::new(XzReader::new_mem_limit(file, true, most))
        }
        Some(Kind::Bzip2) => Box::new(MultiBzDecoder::new(file)),
        Some(Kind::Lz4) => Box::new(Lz4Frames::new(file)),
        _ => return Box::new(file),
    };
    Box::new(InOurWords { decoder, packed: packed.map_or("", Kind::word) })
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
    packed: &'static str,
}

impl<R: Read> Read for InOurWords<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(buffer).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::Interrupted => error,
            ErrorKind::OutOfMemory => io::Error::other("it needs more memory to unpack than any honest file"),
            _ => io::Error::other(format!("its data is not {}'s", self.packed)),
        })
    }
}
