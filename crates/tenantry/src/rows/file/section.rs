//! Finds the end of a table's rows in a file.
//!
//! The rows are in PostgreSQL's
//! [text format](https://www.postgresql.org/docs/current/sql-copy.html) of `copy`. It never contains the line `\.`: the
//! same text as a value is written as `\\.`.

/// The line after the last row.
pub(crate) const END_OF_ROWS: &[u8] = b"\\.\n";

/// What is next in a table's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// This many bytes belong to rows.
    Rows { bytes: usize, ends_line: bool },
    /// The line that ends the rows.
    End,
    /// More bytes are needed to tell.
    More,
}

/// Returns what is next in these bytes, which begin a line or continue one.
pub(crate) fn next_part(bytes: &[u8], begins_line: bool) -> Part {
    let mut at = 0;
    let mut begins_line = begins_line;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if begins_line && END_OF_ROWS.starts_with(&rest[..rest.len().min(END_OF_ROWS.len())]) {
            return match at {
                0 if rest.len() >= END_OF_ROWS.len() => Part::End,
                0 => Part::More,
                bytes => Part::Rows { bytes, ends_line: true },
            };
        }
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => (at, begins_line) = (at + end + 1, true),
            None => return Part::Rows { bytes: bytes.len(), ends_line: false },
        }
    }
    if at == 0 { Part::More } else { Part::Rows { bytes: at, ends_line: true } }
}

/// Returns the number of rows that end in these bytes. A line break in a value is written as `\n`.
pub(crate) fn rows_in(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads bytes that come in pieces of a size. Returns the rows, and what comes after them.
    fn read(text: &[u8], size: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let (mut rows, mut buffer, mut begins_line) = (Vec::new(), Vec::new(), true);
        let mut pieces = text.chunks(size);
        loop {
            match next_part(&buffer, begins_line) {
                Part::End => {
                    let after = buffer.split_off(END_OF_ROWS.len());
                    return Some((rows, pieces.fold(after, |all, piece| [&all, piece].concat())));
                }
                Part::Rows { bytes, ends_line } => {
                    rows.extend(buffer.drain(..bytes));
                    begins_line = ends_line;
                }
                Part::More => buffer.extend_from_slice(pieces.next()?),
            }
        }
    }

    #[test]
    fn rows_end_at_a_line_of_their_own_wherever_the_text_is_cut() {
        for (text, rows) in [
            ("\\.\n{}", ""),
            ("a\tb\n\\.\n{}", "a\tb\n"),
            ("\\\\.\n\\.\n{}", "\\\\.\n"),
            ("a\\.\n\\.x\n\n\\.\n{}", "a\\.\n\\.x\n\n"),
            ("\\N\n\\.\r\n\\.\n{}", "\\N\n\\.\r\n"),
        ] {
            for size in 1..text.len() + 1 {
                let found = read(text.as_bytes(), size);
                let expected = (rows.as_bytes().to_vec(), b"{}".to_vec());
                assert_eq!(found, Some(expected), "{text:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_text_without_an_end_has_none() {
        for text in ["", "a\n", "a", "\\", "\\.", "a\n\\.", "a\\.\n"] {
            for size in 1..5 {
                assert_eq!(read(text.as_bytes(), size), None, "{text:?} in pieces of {size}");
            }
        }
        assert_eq!(rows_in(b"a\nb\\n\nc"), 2);
    }
}
