//! HTTP/1.1 heads: the upgrade to a WebSocket from both sides, and the client's side of CONNECT.
//!
//! Each machine exchanges one head for one head and is then done. [`Progress::Done`] says how much of the lent
//! bytes the head took; what follows belongs to the protocol behind it. httparse reads the lines, and only this
//! module names it; the rules are here, one [`HttpError`] for each. What httparse tolerates and two readers could
//! understand differently is refused: a line feed alone, two lengths, a body where none belongs (RFC 9112,
//! section 11).
//!
//! A head that arrives whole is read where it lies. One that comes in pieces is gathered, bounded by
//! [`Limits`](crate::machine::limits::Limits), each byte is looked at once, and the memory goes with the answer.
//!
//! A server answers whatever it refuses: after an error, `fill` writes a response with the matching status and a
//! line that says what to do. The caller then closes.

mod client;
mod connect;
mod error;
mod head;
mod server;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use client::{Agreed, UpgradeClient, UpgradeRequest};
pub use connect::Connect;
pub use error::HttpError;
pub use server::{UpgradeRules, UpgradeServer, Upgraded};

/// What the received bytes have brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress<T> {
    /// The head is not whole yet; all bytes are taken.
    More,
    /// The head is whole and accepted.
    Done {
        /// How many of the bytes of this call belong to the head; the rest follows it.
        consumed: usize,
        /// What it says.
        response: T,
    },
}

/// The answer to a key, which shows that the server speaks WebSocket (RFC 6455, section 4.2.2).
fn accept_value(key: &str) -> String {
    let mut hash = sha1_smol::Sha1::from(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.digest().bytes())
}
