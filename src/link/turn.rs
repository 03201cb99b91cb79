//! TURN.
