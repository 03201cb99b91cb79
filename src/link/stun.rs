//! STUN: what an address looks like from outside (RFC 8489), and what the NATs on the way do (RFC 5780).
//!
//! All of it is plain values: they take datagrams and moments in and give datagrams out; who owns sockets and wakes
//! them is the caller.
//!
//! *[Messages](message).* Binding requests, answers and indications, and of their attributes those that either
//! document uses. A datagram is parsed whole before anything of it is looked at; what is wrong with it is a
//! [`Malformed`], which callers count. Lengths, cookie and fingerprint are checked always, the signature
//! (MESSAGE-INTEGRITY, short-term) where the caller knows a password.
//!
//! *[Transactions](client)* repeat a request until it is answered or given up (RFC 8489, section 6.2.1).
//!
//! *[The server](server)* answers on up to four endpoints, two addresses with two ports each (RFC 5780, section 6).
//! It keeps nothing between two requests.
//!
//! *[Discovery](behaviour)* asks such a server in the order that keeps one test from spoiling the next, and says how
//! the NATs map and filter.
//!
//! Transaction ids come from the caller's randomness, none from the thread's.

pub mod behaviour;
pub mod client;
pub mod message;
pub mod server;

pub use behaviour::{Behaviour, Dependence, Discovered, Discovery, DiscoveryConfig};
pub use client::{Due, Retransmission, Transaction};
pub use message::{Body, Change, Malformed, Message, Request, Success, TransactionId};
pub use server::{Dropped, Endpoints, Reply, Server, ServerCounters};

/// A datagram to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// To whom.
    pub to: std::net::SocketAddr,
    /// Its payload.
    pub bytes: Vec<u8>,
}
