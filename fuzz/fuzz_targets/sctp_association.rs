//! Feeds `switchboard_fuzz::sctp_association`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::sctp_association(data));
