//! What this engine promises, for the launcher and the library alike.

use contract::Capability;

/// See [`Capability`].
pub(crate) const CAPABILITIES: &[Capability] = &[
    Capability::AsyncHandlers,
    Capability::BinaryBody,
    Capability::Dependencies,
    Capability::StreamingReply,
    Capability::StopRunningHandler,
    Capability::Multipart,
    Capability::StructuredData,
];
