//! What is wrong with a frame.

/// A frame that is not one of the protocol's. The connection ends with
/// [`crate::DisconnectCode::BadRequest`]: what follows cannot be trusted to be in step.
///
/// It tells what was wrong but never quotes the frame, which may hold a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// Nothing, or an empty line between two commands.
    #[error("an empty frame or line")]
    Empty,
    /// Not JSON or Protobuf, or a member of the wrong type.
    #[error("not a message of the protocol")]
    Malformed,
    /// Text that is not UTF-8.
    #[error("text that is not UTF-8")]
    NotUtf8,
    /// Nested deeper than [`crate::json::MAX_DEPTH`], or in Protobuf than any message goes.
    #[error("nested too deep")]
    TooDeep,
    /// A command that asks for nothing known.
    #[error("a command without a method")]
    NoMethod,
    /// A command that is to be answered, with nothing that its reply could carry back.
    #[error("a command without an id")]
    NoId,
}
