//! Feeds `switchboard_fuzz::websocket_header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::websocket_header(data));
