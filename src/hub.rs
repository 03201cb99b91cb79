//! Endpoints: what they share, whatever lies between them.

pub mod rooms;
