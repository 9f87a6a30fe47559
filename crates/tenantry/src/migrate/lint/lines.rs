//! Line numbers of a text.

/// The ends of a text's lines, found in one pass.
pub(super) struct Lines<'a> {
    text: &'a str,
    ends: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { text, ends: ends.map(|(at, _)| at).collect() }
    }

    /// Returns the line of a byte, from 1 on.
    pub(super) fn of(&self, byte: usize) -> u32 {
        let byte = byte.min(self.text.len());
        number(self.ends.partition_point(|end| *end < byte))
    }
}

/// Returns the line of a byte, from 1 on.
pub(crate) fn line_of(text: &str, byte: usize) -> u32 {
    let before = text.as_bytes().get(..byte).unwrap_or(text.as_bytes());
    number(before.iter().filter(|byte| **byte == b'\n').count())
}

fn number(lines_before: usize) -> u32 {
    u32::try_from(lines_before).unwrap_or(u32::MAX).saturating_add(1)
}
