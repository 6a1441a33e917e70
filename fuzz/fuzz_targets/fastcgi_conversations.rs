#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wsgi_fastcgi::fuzzing::conversations(bytes));
