//! Feeds `switchboard_fuzz::paste`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::paste(data));
