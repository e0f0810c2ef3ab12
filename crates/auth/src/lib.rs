//! Who is calling, with what proof: access and refresh tokens, sessions, API keys, signing keys.
