//! Feeds `switchboard_fuzz::stun_server`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::stun_server(data));
