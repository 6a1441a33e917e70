#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wsgi_http::fuzzing::replies(bytes));
