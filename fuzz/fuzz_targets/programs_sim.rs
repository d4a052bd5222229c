#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| headcount_fuzz::in_the_simulator(input));
