//! Feeds `switchboard_fuzz::room_host`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::room_host(data));
