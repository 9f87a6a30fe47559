/// Whether connections can be opened at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Supply {
    /// They can.
    #[default]
    Normal,
    /// The server has no room for more: who waits, waits for what there is.
    Short,
    /// The server is not there: who would have to wait for a connection is refused.
    Cut,
}
