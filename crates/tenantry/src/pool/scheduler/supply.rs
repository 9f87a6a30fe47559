/// Whether connections can currently be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Supply {
    /// They can be opened.
    #[default]
    Normal,
    /// The server is out of connection slots: waiters wait for existing connections.
    Short,
    /// The server is down: requests that would have to wait are refused.
    Cut,
}
