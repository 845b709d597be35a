//! Walks through a tar archive: every header's checksum, every member's length, and the block of zeros at its end.
//!
//! Nothing is unpacked. The format is POSIX's ustar, which GNU's and pax's extensions keep to.

use std::io::{self, Read};

const BLOCK: usize = 512;

/// What is wrong with the archive that `reader` gives, if anything is.
pub(super) fn check(reader: &mut dyn Read) -> Result<(), String> {
    let mut header = [0; BLOCK];
    let mut members = 0_u64;
    loop {
        match fill(reader, &mut header).map_err(|error| error.to_string())? {
            0 => return Err("the block of zeros that ends an archive is missing".into()),
            BLOCK => {}
            _ => return Err("it ends in the middle of a header".into()),
        }
        if header.iter().all(|&byte| byte == 0) {
            // What follows is padding; it has to be readable, so that a compressed archive is read to its end.
            io::copy(reader, &mut io::sink()).map_err(|error| error.to_string())?;
            return if members == 0 { Err(super::whole::NOTHING.into()) } else { Ok(()) };
        }
        members += 1;
        let sum: u32 = header
            .iter()
            .enumerate()
            .map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) })
            .sum();
        if number(&header[148..156]) != Some(u64::from(sum)) {
            return Err(format!("header {members} is damaged"));
        }
        let Some(size) = number(&header[124..136]) else {
            return Err(format!("header {members} is damaged"));
        };
        let padded = size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
        let read = io::copy(&mut reader.take(padded), &mut io::sink()).map_err(|error| error.to_string())?;
        if read < padded {
            return Err(format!("it ends within member {members}"));
        }
    }
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

fn fill(reader: &mut dyn Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match reader.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
