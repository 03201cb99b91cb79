//! Feeds `switchboard_fuzz::turn_server`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::turn_server(data));
