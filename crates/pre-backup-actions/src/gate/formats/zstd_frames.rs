//! All frames of a zstd file, one after another, with their checksums compared.
//!
//! A file may hold several frames, and some that only carry metadata (RFC 8878, 3.1.2); the decoder reads one. The
//! window that a frame declares is looked at first: the decoder would allocate whatever a stranger writes there. (The
//! zstd crate, which reads all of this itself, is a C library.)

use std::io::{self, Cursor, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::super::budget::WINDOW;

/// Magic, descriptor, window, dictionary and content size at their longest.
const LONGEST_HEADER: usize = 18;

/// The file, with what was read of it in order to look at it put back in front.
type Rewound<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// Reads what the frames of `source` hold.
pub(super) struct Frames<R: Read> {
    source: Option<R>,
    frame: Option<StreamingDecoder<Rewound<R>, FrameDecoder>>,
    /// What was read of the next frame's header.
    ahead: Vec<u8>,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(source: R) -> Frames<R> {
        Frames { source: Some(source), frame: None, ahead: Vec::new() }
    }

    /// Opens the next frame; `false` if there is none.
    fn next_frame(&mut self) -> io::Result<bool> {
        let Some(mut source) = self.source.take() else { return Ok(false) };
        loop {
            let wanted = (LONGEST_HEADER - self.ahead.len()) as u64;
            (&mut source).take(wanted).read_to_end(&mut self.ahead)?;
            let header = std::mem::take(&mut self.ahead);
            if header.is_empty() {
                self.source = Some(source);
                return Ok(false);
            }
            // Skippable frames begin with 0x184D2A50 to 0x184D2A5F, then their length.
            if header.len() >= 8 && header[0] & 0xf0 == 0x50 && header[1..4] == [0x2a, 0x4d, 0x18] {
                let length = u64::from(u32::from_le_bytes([header[4], header[5], header[6], header[7]])) + 8;
                let have = header.len() as u64;
                if length < have {
                    self.ahead = header[usize::try_from(length).unwrap_or(0)..].to_vec();
                } else if io::copy(&mut (&mut source).take(length - have), &mut io::sink())? < length - have {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                continue;
            }
            if window(&header).is_some_and(|window| window > WINDOW) {
                return Err(io::Error::other(
                    "its window is larger than the 128 MiB that zstd itself accepts",
                ));
            }
            let frame = StreamingDecoder::new(Cursor::new(header).chain(source));
            self.frame = Some(frame.map_err(|_| damaged())?);
            return Ok(true);
        }
    }
}

fn damaged() -> io::Error {
    io::Error::other("its data is not zstd's")
}

/// The memory that a frame asks for (RFC 8878, 3.1.1.1), if its header can be read.
fn window(header: &[u8]) -> Option<u64> {
    let descriptor = *header.get(4)?;
    let is_single = descriptor & 0x20 != 0;
    if !is_single {
        let window = *header.get(5)?;
        let base = 1_u64 << (10 + u32::from(window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let field = header.get(5 + dictionary..5 + dictionary + size)?;
    let number = field.iter().rev().fold(0_u64, |sum, &byte| (sum << 8) | u64::from(byte));
    Some(if size == 2 { number + 256 } else { number })
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let length = frame.read(buffer).map_err(|error| match error.kind() {
                    // ruzstd hands an early end over in words of its own.
                    io::ErrorKind::UnexpectedEof => error,
                    _ => damaged(),
                })?;
                if length > 0 || buffer.is_empty() {
                    return Ok(length);
                }
                let stored = frame.decoder.get_checksum_from_data();
                if stored.is_some() && stored != frame.decoder.get_calculated_checksum() {
                    return Err(io::Error::other("its checksum is wrong"));
                }
                let rest = self.frame.take().map(StreamingDecoder::into_inner).map(io::Chain::into_inner);
                if let Some((header, source)) = rest {
                    // A frame shorter than the longest header leaves some of it for the next one.
                    let read = usize::try_from(header.position()).unwrap_or(usize::MAX);
                    self.ahead = header.into_inner().get(read..).unwrap_or_default().to_vec();
                    self.source = Some(source);
                }
            }
            if !self.next_frame()? {
                return Ok(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_read_from_both_kinds_of_header() {
        assert_eq!(window(&[0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58]), Some(2 << 20));
        assert_eq!(window(&[0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x88]), Some(128 << 20));
        assert_eq!(window(&[0x28, 0xb5, 0x2f, 0xfd, 0x20, 7]), Some(7));
        let single = [0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(window(&single), Some(1 << 32));
    }
}
