//! Switchboard carries messages between endpoints over whatever path exists.
//!
//! It is a library of pure, synchronous state machines: nothing here owns a socket, reads a clock, starts a
//! thread or draws entropy. The same code runs under tokio, under mio, inside a game loop, and inside a
//! simulator where a whole network replays from one seed.
//!
//! # Layers
//!
//! A module uses only modules of a lower layer and its own children; siblings of one layer do not see each
//! other. `tests/layers.rs` checks it.
//!
//! | layer | modules | what they are |
//! | --- | --- | --- |
//! | 7 | [`connect`] | connection string to transport; the only place that knows everything |
//! | 6 | [`hub`] | endpoints, sessions, relays, rooms |
//! | 6 | `sim` (feature `sim`) | the virtual network |
//! | 5 | [`transport`] | ways to reach others: `tcp` `tls` `ws` `wss` `pair` `offline` |
//! | 4 | [`stack`] | links composed once, for the transports |
//! | 3 | [`link`] | one protocol each: framed stream, TLS, HTTP, WebSocket, STUN |
//! | 2 | [`wire`] | pure codecs |
//! | 1 | [`machine`] | the contract: time, randomness, ports, buffers, timers, queues, pump |
//!
//! # First steps
//!
//! Make a transport from a connection string, put it into [`transport::Alone`], and hand that to a driver
//! (`switchboard-tokio`, `switchboard-mio`) or to a world of the simulator:
//!
//! ```
//! use switchboard::connect::{Options, Registry};
//! use switchboard::transport::Alone;
//!
//! let transport = Registry::new().dial("tcp:localhost:7000", &Options::default())?;
//! let machine = Alone::new(transport, Options::default().limits);
//! # drop(machine);
//! # Ok::<(), switchboard::connect::ConnectError>(())
//! ```

pub mod connect;
pub mod hub;
pub mod link;
pub mod machine;
#[cfg(feature = "sim")]
pub mod sim;
pub mod stack;
pub mod transport;
pub mod wire;

/// What programs and transports of one's own mostly need, by one `use`.
pub mod prelude {
    pub use crate::connect::{ConnectError, Options, Registry};
    pub use crate::machine::buf::Buf;
    pub use crate::machine::ids::{LinkId, PortId};
    pub use crate::machine::payload::{Flow, Framer, Kind, Payload, Upper};
    pub use crate::machine::port::{PortChange, PortError, PortRequest, PortSpec};
    pub use crate::machine::{Cx, Fill, Input, Machine, Output};
    pub use crate::transport::alone::{AloneEvent, Message, SendError};
    pub use crate::transport::{Alone, DownReason, LinkInfo, Outbox, Transport, TransportCommand, TransportEvent};
}
