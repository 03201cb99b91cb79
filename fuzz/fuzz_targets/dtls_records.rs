//! Feeds `switchboard_fuzz::dtls_records`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::dtls_records(data));
