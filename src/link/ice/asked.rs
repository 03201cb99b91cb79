//! Checks that are out: an answer counts only if it comes to where its request left, from where that was sent to (RFC
//! 8445, section 7.2.5.2.1).
//!
//! The engine does not look. Between two NATs that choose a new port per destination it would take the answer of a
//! third address for the second's, and use a pair over which nothing, or one direction only, gets through.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

/// So many checks are known; of more the oldest are forgotten, and their answers are of no use.
const MOST: usize = 256;
/// What stands before a transaction id, and the id itself (RFC 8489, section 5).
const HEAD: std::ops::Range<usize> = 8..20;

/// The latest checks, each by a hash of its transaction id and its two addresses.
#[derive(Debug, Default)]
pub struct Asked(VecDeque<u64>);

impl Asked {
    /// Notes what is sent, if it is a request.
    pub fn sent(&mut self, local: SocketAddr, to: SocketAddr, data: &[u8]) {
        let Some(id) = data.get(HEAD).filter(|_| class(data) == 0) else { return };
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(hash(id, local, to));
    }

    /// Whether what was received may be handed on: it is no answer, or one that came the way that it was asked for.
    pub fn takes(&mut self, local: SocketAddr, source: SocketAddr, data: &[u8]) -> bool {
        let Some(id) = data.get(HEAD).filter(|_| class(data) >= 2) else { return true };
        let hash = hash(id, local, source);
        let Some(at) = self.0.iter().rposition(|known| *known == hash) else { return false };
        self.0.remove(at);
        true
    }
}

/// The class of a STUN message: 0 request, 1 indication, 2 success, 3 error.
const fn class(data: &[u8]) -> u8 {
    (data[0] & 1) << 1 | data[1] >> 4 & 1
}

fn hash(id: &[u8], local: SocketAddr, remote: SocketAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    (id, local, remote).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, id: u8) -> Vec<u8> {
        let mut data = vec![0; 20];
        data[..2].copy_from_slice(&kind.to_be_bytes());
        data[19] = id;
        data
    }

    fn at(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    #[test]
    fn an_answer_counts_once_and_from_where_its_request_was_sent_to() {
        let mut asked = Asked::default();
        asked.sent(at(1), at(2), &message(0x0001, 7));
        for (local, source, id) in [(1, 3, 7), (3, 2, 7), (1, 2, 8)] {
            assert!(!asked.takes(at(local), at(source), &message(0x0101, id)));
        }
        assert!(asked.takes(at(1), at(2), &message(0x0111, 7)));
        assert!(!asked.takes(at(1), at(2), &message(0x0101, 7)), "again");
    }

    #[test]
    fn what_is_no_answer_is_taken_from_anywhere() {
        let mut asked = Asked::default();
        assert!(asked.takes(at(1), at(2), &message(0x0001, 7)) && asked.takes(at(1), at(2), &message(0x0011, 7)));
        assert!(asked.takes(at(1), at(2), &[1; 19]), "the engine knows what is too short");
    }

    #[test]
    fn the_oldest_of_too_many_is_forgotten() {
        let mut asked = Asked::default();
        for port in 0..=MOST as u16 {
            asked.sent(at(1), at(port), &message(0x0001, 0));
        }
        assert!(!asked.takes(at(1), at(0), &message(0x0101, 0)) && asked.takes(at(1), at(1), &message(0x0101, 0)));
        assert!(asked.0.len() < MOST);
    }
}
