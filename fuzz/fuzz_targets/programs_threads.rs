#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| headcount_fuzz::on_real_threads(input));
