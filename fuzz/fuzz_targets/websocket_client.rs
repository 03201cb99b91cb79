//! Feeds `switchboard_fuzz::websocket_client`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::websocket_client(data));
