//! Records of DTLS 1.2 (RFC 6347, section 4.1), after the handshake: epoch 1 for ever, as nothing is renegotiated.

use zeroize::Zeroizing;

use super::record::{HEAD_12, LONGEST, Plain, VERSION_12};
use super::replay::Window;
use super::statistics::Dropped;
use super::suite::{Key, Suite, TAG, numbered};
use super::tap::{Material, Read, Write};

/// The epoch, where records carry it.
const EPOCH: u64 = 1 << 48;
/// What remains for numbers.
const NUMBERS: u64 = EPOCH - 1;

/// Both directions.
pub(super) struct Records12 {
    suite: Suite,
    /// Bytes of the nonce in each record.
    explicit: usize,
    write: Half,
    read: Half,
    /// The number of the next record.
    next: u64,
    /// The first byte of explicit nonces.
    first: u8,
    window: Window,
}

struct Half {
    key: Key,
    iv: Zeroizing<[u8; 12]>,
}

impl Half {
    fn new(suite: Suite, material: &Material) -> Option<Self> {
        let Material::Key(bytes, iv) = material else { return None };
        Some(Self { key: Key::new(suite, bytes)?, iv: iv.clone() })
    }
}

impl Records12 {
    /// Goes on where a handshake stands. None if its random nonces leave no room for counted ones.
    pub(super) fn new(write: &Write, read: &Read) -> Option<Self> {
        let suite = write.suite;
        Some(Self {
            suite,
            explicit: suite.explicit_nonce(),
            write: Half::new(suite, &write.material)?,
            read: Half::new(suite, &read.material)?,
            next: write.next,
            first: write.firsts.unused()?,
            window: read.window,
        })
    }

    /// Bytes before the text of a record.
    pub(super) const fn head(&self) -> usize {
        HEAD_12 + self.explicit
    }

    /// Whether numbers have run out.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.next > NUMBERS
    }

    #[cfg(test)]
    pub(super) const fn skip_to(&mut self, number: u64) {
        self.next = number;
    }

    /// Makes a record of what lies in `out` from `start` on, behind the head that it needs. False, and `out` is cut
    /// there: the text is longer than 16,384 bytes, or numbers have run out.
    #[inline]
    pub(super) fn seal(&mut self, kind: u8, out: &mut Vec<u8>, start: usize) -> bool {
        let sealed = self.try_seal(kind, &mut out[start..]);
        match sealed {
            Some(tag) => out.extend_from_slice(&tag),
            None => out.truncate(start),
        }
        sealed.is_some()
    }

    #[inline]
    fn try_seal(&mut self, kind: u8, record: &mut [u8]) -> Option<[u8; TAG]> {
        let (head, text) = record.split_at_mut_checked(self.head())?;
        if text.len() > LONGEST || self.is_exhausted() {
            return None;
        }
        let number = EPOCH | self.next;
        self.next += 1;
        let explicit = (u64::from(self.first) << 56 | number & NUMBERS).to_be_bytes();
        let tag =
            self.write.key.seal(self.nonce(&self.write, number, &explicit), &about(number, kind, text.len()), text);
        head[0] = kind;
        head[1..3].copy_from_slice(&VERSION_12);
        head[3..11].copy_from_slice(&number.to_be_bytes());
        head[11..13].copy_from_slice(&((self.explicit + text.len() + TAG) as u16).to_be_bytes());
        head[HEAD_12..].copy_from_slice(&explicit[..self.explicit]);
        tag
    }

    /// Opens one record in place; answers its content type and its text.
    ///
    /// # Errors
    /// Why it counts for nothing.
    #[inline]
    pub(super) fn open<'a>(&mut self, plain: &Plain, record: &'a mut [u8]) -> Result<(u8, &'a [u8]), Dropped> {
        if plain.number < EPOCH {
            return Err(Dropped::Unprotected);
        }
        let number = plain.number & NUMBERS;
        if plain.number != EPOCH | number {
            return Err(Dropped::Epoch);
        }
        if record[1..3] != VERSION_12 {
            return Err(Dropped::Malformed);
        }
        if !self.window.is_new(number) {
            return Err(Dropped::Replayed);
        }
        let (head, sealed) = record.split_at_mut_checked(self.head()).ok_or(Dropped::Malformed)?;
        let len = sealed.len().checked_sub(TAG).ok_or(Dropped::Malformed)?;
        let explicit = head[HEAD_12..].first_chunk().copied().unwrap_or_default();
        let nonce = self.nonce(&self.read, plain.number, &explicit);
        let len = self.read.key.open(nonce, &about(plain.number, plain.kind, len), sealed).ok_or(Dropped::Forged)?;
        self.window.mark(number);
        Ok((plain.kind, &sealed[..len]))
    }

    #[inline]
    fn nonce(&self, half: &Half, number: u64, explicit: &[u8; 8]) -> [u8; 12] {
        match self.suite {
            Suite::ChaCha20Poly1305 => numbered(*half.iv, number),
            Suite::Aes128Gcm | Suite::Aes256Gcm => numbered(*half.iv, u64::from_be_bytes(*explicit)),
        }
    }
}

/// What is authenticated beside the text (RFC 5246, section 6.2.3.3).
#[inline]
fn about(number: u64, kind: u8, len: usize) -> [u8; HEAD_12] {
    let mut about = [0; HEAD_12];
    about[..8].copy_from_slice(&number.to_be_bytes());
    about[8] = kind;
    about[9..11].copy_from_slice(&VERSION_12);
    about[11..].copy_from_slice(&(len as u16).to_be_bytes());
    about
}
