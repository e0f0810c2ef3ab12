#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| chatsdk_protocol_fuzz::json_server_messages(input));
