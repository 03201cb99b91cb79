//! Numbers and slices in messages: a cursor that never reads past the end, and numbers of variable length.
//!
//! A variable-length number is LEB128: seven bits a byte, the lowest first, the top bit set on all but the last;
//! at most ten bytes.

/// Why bytes are not what was expected of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// They end too early.
    #[error("it ends too early")]
    Truncated,
    /// A variable-length number does not fit 64 bits, or is longer than it need be.
    #[error("a number is not in its shortest form, or larger than 64 bits")]
    Number,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Utf8,
}

/// Reads a message from its front.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor at the front of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// All that is left.
    pub const fn rest(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub const fn bytes(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let Some((bytes, rest)) = self.rest.split_at_checked(n) else { return Err(Malformed::Truncated) };
        self.rest = rest;
        Ok(bytes)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    /// The next four bytes as a big-endian number.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next eight bytes as a big-endian number.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// The next variable-length number.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::Number`].
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for place in 0..10 {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if (place == 9 && bits > 1) || (place > 0 && byte == 0) {
                return Err(Malformed::Number);
            }
            value |= bits << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Number)
    }

    /// As many bytes as the variable-length number before them says.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::Number`].
    pub fn prefixed(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.varint()?;
        self.bytes(usize::try_from(len).unwrap_or(usize::MAX))
    }

    /// A text after its length.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], [`Malformed::Number`], [`Malformed::Utf8`].
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.prefixed()?).map_err(|_| Malformed::Utf8)
    }
}

/// Appends a variable-length number.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends bytes after their length.
pub fn put_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The front of a text that has at most so many bytes.
pub fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// How many bytes a variable-length number takes.
pub const fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_are_as_long_as_announced() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                put_varint(&mut bytes, value);
                assert_eq!(bytes.len(), varint_len(value), "{value}");
                let mut cursor = Cursor::new(&bytes);
                assert_eq!(cursor.varint(), Ok(value));
                assert!(cursor.is_empty());
            }
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!([cut("aé", 3), cut("aé", 2), cut("aé", 9)], ["aé", "a", "aé"]);
    }

    #[test]
    fn numbers_that_are_too_long_are_refused() {
        assert_eq!(Cursor::new(&[0x80, 0]).varint(), Err(Malformed::Number));
        assert_eq!(Cursor::new(&[0xff; 10]).varint(), Err(Malformed::Number));
        assert_eq!(Cursor::new(&[0x80]).varint(), Err(Malformed::Truncated));
    }

    #[test]
    fn an_announced_length_beyond_the_end_is_truncated() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, u64::MAX);
        assert_eq!(Cursor::new(&bytes).prefixed(), Err(Malformed::Truncated));
        assert_eq!(Cursor::new(&[1, 0xff]).text(), Err(Malformed::Utf8));
    }
}
