//! What two probes tell each other before they check: one line of text, the same both ways.
//!
//! ```text
//! probe1 WORD ID SECRET ADDRESS,ADDRESS,…\n
//! ```
//!
//! Addresses are as `192.0.2.1:4000` and `[2001:db8::1]:4000`; there may be none. A rendezvous passes the line on as
//! it is, so it needs to know no more of it than the word.

use std::net::SocketAddr;

/// The longest line, in bytes, with its end.
pub const LONGEST_LINE: usize = 1024;
/// The most addresses in a line.
pub const MOST_CANDIDATES: usize = 16;
/// What begins each line, so that a later form can be told from this.
const FORM: &str = "probe1";

/// Who a probe is, and where it may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// Its name: 1 to 32 characters.
    pub id: String,
    /// What its checks and answers are signed by: 22 to 64 characters (RFC 8445, section 5.3).
    pub secret: String,
    /// Its addresses, at most [`MOST_CANDIDATES`].
    pub candidates: Vec<SocketAddr>,
}

/// Why a line is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// It is longer than [`LONGEST_LINE`].
    #[error("the line is too long")]
    TooLong,
    /// It does not begin as lines do, or has fewer or more parts.
    #[error("the line is not of the form of this version")]
    Form,
    /// The word is empty, longer than 64 characters, or not printable ASCII.
    #[error("the word is not 1 to 64 printable characters")]
    Word,
    /// The name or the secret is too short, too long or not printable ASCII.
    #[error("the name or the secret is not of its length")]
    Credentials,
    /// An address is none, or there are too many.
    #[error("the addresses are not addresses, or too many")]
    Candidates,
}

impl Introduction {
    /// The line, with its end.
    pub fn line(&self, word: &str) -> String {
        let candidates: Vec<_> = self.candidates.iter().take(MOST_CANDIDATES).map(SocketAddr::to_string).collect();
        format!("{FORM} {word} {} {} {}\n", self.id, self.secret, candidates.join(","))
    }

    /// Reads a line without its end: the word, and who says it.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn parse(line: &[u8]) -> Result<(&str, Self), BadLine> {
        if line.len() >= LONGEST_LINE {
            return Err(BadLine::TooLong);
        }
        let line = std::str::from_utf8(line).map_err(|_| BadLine::Form)?;
        let parts: Vec<_> = line.split(' ').collect();
        let [FORM, word, id, secret, candidates] = parts[..] else { return Err(BadLine::Form) };
        if !is_word(word) {
            return Err(BadLine::Word);
        }
        if !(is_printable(id, 1, 32) && is_printable(secret, 22, 64)) {
            return Err(BadLine::Credentials);
        }
        let candidates = candidates.split(',').filter(|candidate| !candidate.is_empty()).map(str::parse);
        let candidates: Vec<_> = candidates.collect::<Result<_, _>>().map_err(|_| BadLine::Candidates)?;
        if candidates.len() > MOST_CANDIDATES {
            return Err(BadLine::Candidates);
        }
        Ok((word, Self { id: id.to_owned(), secret: secret.to_owned(), candidates }))
    }
}

/// Whether two probes can meet by that word.
pub fn is_word(word: &str) -> bool {
    is_printable(word, 1, 64)
}

fn is_printable(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn introduction(candidates: &[&str]) -> Introduction {
        let candidates = candidates.iter().map(|candidate| candidate.parse().unwrap()).collect();
        Introduction { id: "ab12".to_owned(), secret: "0123456789abcdef0123456789".to_owned(), candidates }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        for candidates in [&[] as &[_], &["192.0.2.1:4000"], &["10.0.0.1:1", "[2001:db8::1]:2"]] {
            let introduction = introduction(candidates);
            let line = introduction.line("tulip");
            let bare = line.strip_suffix('\n').unwrap().as_bytes();
            assert_eq!(Introduction::parse(bare), Ok(("tulip", introduction)));
        }
    }

    #[test]
    fn a_line_with_as_many_addresses_as_there_may_be_is_not_too_long() {
        let longest = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535";
        let mut introduction = introduction(&[longest; MOST_CANDIDATES]);
        (introduction.id, introduction.secret) = ("i".repeat(32), "s".repeat(64));
        assert!(introduction.line(&"w".repeat(64)).len() <= LONGEST_LINE);
    }

    #[test]
    fn each_broken_rule_has_its_name() {
        let secret = "0123456789abcdef0123456789";
        let broken = |line: String| Introduction::parse(line.as_bytes()).unwrap_err();
        assert_eq!(broken("x".repeat(LONGEST_LINE)), BadLine::TooLong);
        assert_eq!(broken(format!("probe2 word id {secret} ")), BadLine::Form);
        assert_eq!(broken(format!("probe1 word id {secret}")), BadLine::Form);
        assert_eq!(broken(format!("probe1 {} id {secret} ", "w".repeat(65))), BadLine::Word);
        assert_eq!(broken("probe1 word id short ".to_owned()), BadLine::Credentials);
        assert_eq!(broken(format!("probe1 word id {secret} 192.0.2.1")), BadLine::Candidates);
        assert_eq!(broken(format!("probe1 word id {secret} {}", "1.1.1.1:1,".repeat(17))), BadLine::Candidates);
    }
}
