//! Feeds `switchboard_fuzz::tls_client`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::tls_client(data));
