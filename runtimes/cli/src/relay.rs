//! `relay`: a hub that forwards for others.

mod status;
