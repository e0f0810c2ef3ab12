#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| chatsdk_auth_fuzz::access_claims(input));
