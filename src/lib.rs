//! Switchboard: sans-IO state machines that carry messages between endpoints over whatever path exists.

pub mod connect;
pub mod link;
pub mod machine;
#[cfg(feature = "sim")]
pub mod sim;
pub mod stack;
pub mod transport;
pub mod wire;
