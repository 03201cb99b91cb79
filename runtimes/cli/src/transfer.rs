//! Files over one reliable ordered channel of a session: `send` and `receive`.
//!
//! The sender offers a file with its BLAKE3 hash. The receiver answers what it has of it from an earlier, broken
//! transfer, with the hash of that; the sender compares it with its own file and goes on behind it, or from the
//! beginning. The receiver hashes what arrives, compares it with the offer, and only then gives the file its name.
//! What the two ends say and in which order is in [`sender`] and [`receiver`], which touch no file; [`files`] does.

mod files;
mod message;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;
