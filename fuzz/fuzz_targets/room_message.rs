//! Feeds `switchboard_fuzz::room_message`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::room_message(data));
