//! Rules whose breach ends an association.

/// Which rule the peer broke; the association is aborted, with the cause that the RFC names.
///
/// What comes malformed, late, twice or with a wrong tag is dropped and counted instead: it need not be the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Broken {
    /// It acknowledges a TSN that was never sent (RFC 9260, section 6.2.1).
    #[error("it acknowledges what was never sent")]
    AcknowledgedUnsent,
    /// It sends a message larger than we take (RFC 8841).
    #[error("a message is larger than we take")]
    MessageTooLarge,
    /// A fragment neither begins a message nor follows one (RFC 9260, section 6.9).
    #[error("a fragment belongs to no message")]
    FragmentWithoutBegin,
    /// A message begins within another one (RFC 9260, section 6.9).
    #[error("a message begins within another")]
    BeginWithinMessage,
    /// Fragments of one message differ in stream, number or kind (RFC 9260, section 6.9).
    #[error("the fragments of a message differ")]
    FragmentsDiffer,
    /// Unfinished messages of many streams use up all room, so that none of them can become whole (RFC 8260, section
    /// 2.1).
    #[error("unfinished messages use up all room")]
    UnfinishedMessages,
    /// DATA where I-DATA was agreed on, or the reverse (RFC 8260, section 2.2).
    #[error("data is of the kind that was not agreed on")]
    WrongDataKind,
    /// FORWARD-TSN without agreement, or of the wrong kind (RFC 3758, section 3.3; RFC 8260, section 2.3).
    #[error("it skips messages without agreement")]
    UnexpectedForward,
    /// FORWARD-TSN skips more than can ever have been sent: over a million TSNs (RFC 3758, section 3.6).
    #[error("it skips what it never sent")]
    SkippedUnsent,
    /// The INIT chunk that signalling brought can't be read, or leaves no streams (RFC 9260, section 3.3.2).
    #[error("the INIT chunk of the signalling is malformed")]
    MalformedInit,
    /// An INIT ACK without a cookie (RFC 9260, section 3.3.3).
    #[error("it sends no cookie")]
    NoCookie,
}
