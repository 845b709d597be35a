//! Walks through a tar archive: every header's checksum, every member's length, and the block of zeros at its end.
//!
//! Nothing is unpacked. The format is POSIX's ustar, which GNU's and pax's extensions keep to.

use std::io::{self, Read};

use super::{Flaw, flaw, read_some};

const BLOCK: usize = 512;

/// What is wrong with the archive that `reader` reads, if anything is.
pub(super) fn check(reader: &mut dyn Read) -> Result<(), Flaw> {
    let mut members = 0_u64;
    loop {
        let header = read_some(reader, BLOCK)?;
        match header.len() {
            0 => return Err(Flaw::damaged("the block of zeros that ends an archive is missing")),
            BLOCK => {}
            _ => return Err(Flaw::damaged("it ends in the middle of a header")),
        }
        if header.iter().all(|&byte| byte == 0) {
            // What follows is padding; it has to be readable, so that a compressed archive is read to its end.
            io::copy(reader, &mut io::sink()).map_err(flaw)?;
            return if members == 0 { Err(Flaw::Empty) } else { Ok(()) };
        }
        members += 1;
        let size = number(&header[124..136]).filter(|_| is_header(&header));
        let size = size.ok_or_else(|| Flaw::Damaged(format!("header {members} is damaged")))?;
        let padded = size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
        let read = io::copy(&mut reader.take(padded), &mut io::sink()).map_err(flaw)?;
        if read < padded {
            return Err(Flaw::Damaged(format!("it ends within member {members}")));
        }
    }
}

/// Whether `head` begins with the header of a member. Its checksum says so: the oldest format has no other mark.
pub(super) fn is_header(head: &[u8]) -> bool {
    let Some(header) = head.get(..BLOCK) else { return false };
    let bytes = header.iter().enumerate();
    let sum: u32 = bytes.map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) }).sum();
    number(&header[148..156]) == Some(u64::from(sum))
}

/// Octal digits, or with the first bit set a number to the base of 256.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        return field[1..]
            .iter()
            .try_fold(0_u64, |sum, &byte| sum.checked_mul(256)?.checked_add(u64::from(byte)));
    }
    let digits: Vec<u8> =
        field.iter().copied().skip_while(|&byte| byte == b' ').take_while(u8::is_ascii_digit).collect();
    digits.iter().try_fold(
        0_u64,
        |sum, &digit| if digit < b'8' { Some(sum * 8 + u64::from(digit - b'0')) } else { None },
    )
}
