//! The file that keeps counters while the server is down.
//!
//! Numbers are little-endian, in the order of `encode`; the last four bytes are CRC-32C of all before them. Semantics: `decode(encode(k, s), s) = k`;
//! any other file, cut, changed, of another server or of another format, is refused with the reason. A new format gets a new number.

/// Counters of one TVIEW, or of one hour.
pub const FIELDS: usize = 11;

const MAGIC: &[u8; 8] = b"pgtviews";
const FORMAT: u32 = 1;

/// Who wrote the file: OIDs mean something to one cluster only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub major: u32,
    pub system: u64,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Since when databases without a time of their own are counted, in microseconds since 2000.
    pub since: i64,
    pub tviews: Vec<OfTview>,
    pub hours: Vec<OfHour>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct OfTview {
    pub key: u64,
    pub counters: [u64; FIELDS],
    /// The message of the last error; empty: none.
    pub error: Vec<u8>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct OfHour {
    pub key: u64,
    pub counters: [u64; FIELDS],
}

pub fn encode(kept: &Kept, stamp: Stamp) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(FORMAT.to_le_bytes());
    out.extend(stamp.major.to_le_bytes());
    out.extend(stamp.system.to_le_bytes());
    out.extend(kept.since.to_le_bytes());
    out.extend((kept.tviews.len() as u32).to_le_bytes());
    out.extend((kept.hours.len() as u32).to_le_bytes());
    for tview in &kept.tviews {
        out.extend(tview.key.to_le_bytes());
        out.extend(tview.counters.iter().flat_map(|c| c.to_le_bytes()));
        out.extend((tview.error.len() as u32).to_le_bytes());
        out.extend(&tview.error);
    }
    for hour in &kept.hours {
        out.extend(hour.key.to_le_bytes());
        out.extend(hour.counters.iter().flat_map(|c| c.to_le_bytes()));
    }
    out.extend(crc(&out).to_le_bytes());
    out
}

const DAMAGED: &str = "it is damaged";

/// What is in a file, or what is wrong with it.
pub fn decode(bytes: &[u8], stamp: Stamp) -> Result<Kept, &'static str> {
    let Some(rest) = bytes.strip_prefix(MAGIC) else { return Err("it is no file of pg_tviews") };
    let body = bytes.split_last_chunk::<4>().filter(|(all, sum)| crc(all) == u32::from_le_bytes(**sum));
    if body.is_none() {
        return Err(DAMAGED);
    }
    let mut rest = Bytes(&rest[..rest.len() - 4]);
    if rest.u32() != Some(FORMAT) {
        return Err("it has another format");
    }
    if (rest.u32(), rest.u64()) != (Some(stamp.major), Some(stamp.system)) {
        return Err("another server has written it");
    }
    rest.kept().filter(|_| rest.0.is_empty()).ok_or(DAMAGED)
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn counters(&mut self) -> Option<[u64; FIELDS]> {
        let mut counters = [0; FIELDS];
        for counter in &mut counters {
            *counter = self.u64()?;
        }
        Some(counters)
    }

    fn kept(&mut self) -> Option<Kept> {
        let since = self.u64()? as i64;
        let (tviews, hours) = (self.u32()?, self.u32()?);
        let mut kept = Kept { since, ..Kept::default() };
        for _ in 0..tviews {
            let (key, counters, length) = (self.u64()?, self.counters()?, self.u32()? as usize);
            let (error, rest) = self.0.split_at_checked(length)?;
            self.0 = rest;
            kept.tviews.push(OfTview { key, counters, error: error.to_vec() });
        }
        for _ in 0..hours {
            kept.hours.push(OfHour { key: self.u64()?, counters: self.counters()? });
        }
        Some(kept)
    }
}

/// CRC-32C (Castagnoli), reflected, as RFC 3720 defines it.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAMP: Stamp = Stamp { major: 18, system: 7_000_000_000_000_000_001 };

    fn kept() -> impl Strategy<Value = Kept> {
        let tview = (any::<u64>(), any::<[u64; FIELDS]>(), prop::collection::vec(any::<u8>(), 0..9))
            .prop_map(|(key, counters, error)| OfTview { key, counters, error });
        let hour = (any::<u64>(), any::<[u64; FIELDS]>()).prop_map(|(key, counters)| OfHour { key, counters });
        (any::<i64>(), prop::collection::vec(tview, 0..4), prop::collection::vec(hour, 0..4))
            .prop_map(|(since, tviews, hours)| Kept { since, tviews, hours })
    }

    #[test]
    fn checksum_of_the_standard() {
        assert_eq!(crc(b"123456789"), 0xe306_9283);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(kept in kept()) {
            prop_assert_eq!(decode(&encode(&kept, STAMP), STAMP), Ok(kept));
        }

        #[test]
        fn a_changed_byte_is_noticed(kept in kept(), at in any::<prop::sample::Index>(), change in 1u8..) {
            let mut bytes = encode(&kept, STAMP);
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            prop_assert!(decode(&bytes, STAMP).is_err());
        }

        #[test]
        fn a_cut_or_longer_file_is_noticed(kept in kept(), at in any::<prop::sample::Index>(), more in any::<u8>()) {
            let mut bytes = encode(&kept, STAMP);
            prop_assert!(decode(&bytes[..at.index(bytes.len())], STAMP).is_err());
            bytes.push(more);
            prop_assert!(decode(&bytes, STAMP).is_err());
        }

        #[test]
        fn another_server_is_noticed(kept in kept(), major in 0u32..30, system in any::<u64>()) {
            let other = Stamp { major, system };
            prop_assume!(other != STAMP);
            prop_assert_eq!(decode(&encode(&kept, other), STAMP), Err("another server has written it"));
        }

        #[test]
        fn anything_is_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            bytes.splice(0..0, *MAGIC);
            let sum = crc(&bytes).to_le_bytes();
            bytes.extend(sum);
            let _ = decode(&bytes, STAMP);
        }
    }
}
