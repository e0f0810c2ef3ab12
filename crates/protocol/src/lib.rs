//! The Centrifuge client protocol, pure: bytes to commands, replies and pushes to bytes.
