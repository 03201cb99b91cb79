//! Feeds `switchboard_fuzz::link_proof`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::link_proof(data));
