//! One receiver of a relay stops reading: nobody else notices, the relay stays within its bounds, its sender is told
//! to wait, and everything arrives once it reads again.
