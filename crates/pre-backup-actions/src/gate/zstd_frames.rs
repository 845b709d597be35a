//! All frames of a zstd file, one after another, with their checksums compared.
//!
//! A file may hold several frames, and some that only carry metadata (RFC 8878, 3.1.2); the decoder reads one.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// Gives what the frames of `source` hold.
pub(super) struct Frames<R: BufRead> {
    source: Option<R>,
    frame: Option<StreamingDecoder<R, FrameDecoder>>,
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(source: R) -> Frames<R> {
        Frames { source: Some(source), frame: None }
    }

    /// Opens the next frame; `false` where there is none.
    fn next_frame(&mut self) -> io::Result<bool> {
        let Some(mut source) = self.source.take() else { return Ok(false) };
        loop {
            let start = source.fill_buf()?;
            if start.is_empty() {
                self.source = Some(source);
                return Ok(false);
            }
            // Skippable frames begin with 0x184D2A50 to 0x184D2A5F, then their length.
            if start.len() >= 8 && start[0] & 0xf0 == 0x50 && start[1..4] == [0x2a, 0x4d, 0x18] {
                let length = u64::from(u32::from_le_bytes([start[4], start[5], start[6], start[7]])) + 8;
                if io::copy(&mut (&mut source).take(length), &mut io::sink())? < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                continue;
            }
            self.frame =
                Some(StreamingDecoder::new(source).map_err(|error| {
                    io::Error::other(format!("a frame of zstd's can't be read ({error})"))
                })?);
            return Ok(true);
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let length = frame.read(buffer)?;
                if length > 0 || buffer.is_empty() {
                    return Ok(length);
                }
                let stored = frame.decoder.get_checksum_from_data();
                if stored.is_some() && stored != frame.decoder.get_calculated_checksum() {
                    return Err(io::Error::other("its checksum is wrong"));
                }
                self.source = self.frame.take().map(StreamingDecoder::into_inner);
            }
            if !self.next_frame()? {
                return Ok(0);
            }
        }
    }
}
