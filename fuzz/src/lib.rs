//! What the fuzzer feeds: one function per target, with its assertions inside.
//!
//! Each target takes any bytes. `fuzz/run` lets libFuzzer look for bytes that break an assertion, and
//! `tests/replay.rs` replays those that are committed in `fuzz/corpus`. In the targets of parsers the first byte
//! says how the others are cut and when the receiver stops ([`cuts`]); the others are the wire, so that a corpus
//! can be written by hand. The targets above read a schedule of actions.
//!
//! What is asserted everywhere: no panic; chunking is invisible, errors included; after an error nothing is
//! delivered; memory follows arrival and stays within the limits, counted by an allocator; what was decoded is
//! encoded again as it was; no input leads to endless work.

mod association;
mod cable;
mod cuts;
mod data_peer;
mod direct;
mod dtls;
mod http;
mod hub;
mod memory;
mod messages;
mod opening;
mod peers;
mod proof;
mod rooms;
mod script;
mod sctp;
mod session;
mod stream;
mod strings;
mod stun;
mod tls;
mod transport;
mod turn;
mod two;
mod wire;
mod world;

pub use association::sctp_association;
pub use data_peer::data_peer;
pub use direct::{candidate, negotiation, paste, sdp};
pub use dtls::dtls_records;
pub use http::{http_connect, http_request, upgrade_client, upgrade_server};
pub use hub::{frame, hub};
pub use messages::{framed, websocket_client, websocket_server};
pub use opening::session_opening;
pub use peers::{gatherer, peer_pair};
pub use proof::link_proof;
pub use rooms::{room_host, room_message, signal};
pub use sctp::sctp_packet;
pub use session::{session_packet, session_peer};
pub use stream::stream;
pub use strings::connection_string;
pub use stun::{stun_message, stun_server};
pub use tls::{tls_client, tls_records, tls_server};
pub use transport::transport;
pub use turn::turn_server;
pub use wire::{length, websocket_close, websocket_header};

/// A target: takes any bytes and panics on a defect.
pub type Target = fn(&[u8]);

/// The folder with a folder of inputs for each target.
pub const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");

/// All targets by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("candidate", candidate),
    ("connection_string", connection_string),
    ("data_peer", data_peer),
    ("dtls_records", dtls_records),
    ("frame", frame),
    ("framed", framed),
    ("gatherer", gatherer),
    ("http_connect", http_connect),
    ("http_request", http_request),
    ("hub", hub),
    ("length", length),
    ("link_proof", link_proof),
    ("negotiation", negotiation),
    ("paste", paste),
    ("peer_pair", peer_pair),
    ("room_host", room_host),
    ("room_message", room_message),
    ("sctp_association", sctp_association),
    ("sctp_packet", sctp_packet),
    ("sdp", sdp),
    ("session_opening", session_opening),
    ("session_packet", session_packet),
    ("session_peer", session_peer),
    ("signal", signal),
    ("stream", stream),
    ("stun_message", stun_message),
    ("stun_server", stun_server),
    ("tls_client", tls_client),
    ("tls_records", tls_records),
    ("tls_server", tls_server),
    ("transport", transport),
    ("turn_server", turn_server),
    ("upgrade_client", upgrade_client),
    ("upgrade_server", upgrade_server),
    ("websocket_client", websocket_client),
    ("websocket_close", websocket_close),
    ("websocket_header", websocket_header),
    ("websocket_server", websocket_server),
];
