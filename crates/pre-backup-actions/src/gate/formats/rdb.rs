//! A snapshot of Redis or Valkey: how it begins, and the checksum at its end.
//!
//! Its last eight bytes are the CRC-64 (Jones) of all before them; a server can be set to leave it out, then they
//! are zero. <https://rdb.fnordig.de/file_format.html>

use std::io::Read;

use super::{Flaw, flaw};

/// The end mark and the checksum, which does not cover itself.
const END: usize = 9;
/// What `redis-cli --rdb -` writes after a snapshot that the server sends without its length: the mark by which it
/// knew the end. Redis itself reads no further than the checksum.
const TRANSFER_MARK: usize = 40;

/// What is wrong with the snapshot that `reader` reads, if anything is.
pub(super) fn check(reader: &mut dyn Read) -> Result<(), Flaw> {
    let table = table();
    let mut sum = 0_u64;
    // The last bytes, of which it is not known yet whether the checksum covers them.
    let mut held: Vec<u8> = Vec::with_capacity((64 << 10) + END + TRANSFER_MARK);
    let mut chunk = vec![0; 64 << 10];
    let mut begin = Vec::with_capacity(END);
    loop {
        let length = reader.read(&mut chunk).map_err(flaw)?;
        if length == 0 {
            break;
        }
        if begin.len() < END {
            begin.extend(chunk[..length].iter().take(END - begin.len()));
        }
        held.extend_from_slice(&chunk[..length]);
        let settled = held.len().saturating_sub(END + TRANSFER_MARK);
        sum = update(&table, sum, &held[..settled]);
        held.drain(..settled);
    }
    if !begin.starts_with(b"REDIS") && !begin.starts_with(b"VALKEY") {
        return Err(Flaw::damaged("it does not start like a Redis snapshot"));
    }
    let plain = ends_well(&table, sum, &held);
    match held.len().checked_sub(TRANSFER_MARK) {
        Some(end) if plain.is_err() && ends_well(&table, sum, &held[..end]).is_ok() => Ok(()),
        _ => plain.map_err(Flaw::Damaged),
    }
}

/// Whether `last`, the end of a snapshot whose checksum so far is `sum`, is one.
fn ends_well(table: &[u64; 256], sum: u64, last: &[u8]) -> Result<(), String> {
    let missing = || "its end is missing".to_string();
    let end = last.len().checked_sub(END).ok_or_else(missing)?;
    let (covered, checksum) = last.split_at(end + 1);
    let stored = u64::from_le_bytes(checksum.try_into().unwrap_or_default());
    if covered[end] != 0xff {
        return Err(missing());
    }
    if stored != 0 && stored != update(table, sum, covered) {
        Err("its checksum is wrong".into())
    } else {
        Ok(())
    }
}

fn update(table: &[u64; 256], sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, &byte| table[usize::from((sum as u8) ^ byte)] ^ (sum >> 8))
}

/// Jones' polynomial with its bits reversed.
fn table() -> [u64; 256] {
    let mut table = [0; 256];
    for (index, entry) in table.iter_mut().enumerate() {
        let mut value = index as u64;
        for _ in 0..8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0x95ac_9329_ac4b_c9b5 } else { value >> 1 };
        }
        *entry = value;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_redis() {
        // The check value in Redis' own crc64.c.
        assert_eq!(update(&table(), 0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn a_cut_or_changed_snapshot_is_not_whole() {
        let mut whole = b"REDIS0011\xfa\x03key\x05value\xff".to_vec();
        let sum = update(&table(), 0, &whole);
        whole.extend(sum.to_le_bytes());
        assert_eq!(check(&mut whole.as_slice()), Ok(()));
        let with_mark = [whole.as_slice(), &[b'm'; 40]].concat();
        assert_eq!(check(&mut with_mark.as_slice()), Ok(()));
        assert!(check(&mut &with_mark[..with_mark.len() - 1]).is_err());
        assert!(check(&mut &whole[..whole.len() - 1]).is_err());
        assert!(check(&mut &whole[..5]).is_err());
        whole[12] ^= 1;
        assert_eq!(check(&mut whole.as_slice()), Err(Flaw::damaged("its checksum is wrong")));
        assert!(check(&mut &b"-ERR no"[..]).is_err());
    }
}
