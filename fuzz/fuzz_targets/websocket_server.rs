//! Feeds `switchboard_fuzz::websocket_server`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::websocket_server(data));
