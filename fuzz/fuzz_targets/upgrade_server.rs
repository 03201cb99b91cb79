//! Feeds `switchboard_fuzz::upgrade_server`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::upgrade_server(data));
