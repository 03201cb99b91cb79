//! TCP connections through a session: `forward`.
//!
//! One end listens on a TCP port and opens a stream for each connection that comes; the other end connects to what
//! it has allowed under the name that was asked for, and to nothing else. [`mux`] carries the streams over one
//! channel, each with a window of its own.

mod message;
mod mux;
