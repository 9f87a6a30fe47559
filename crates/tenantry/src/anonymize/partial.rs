//! Texts that keep their first and last characters.

use super::PartialMask;

/// Appends only the ends of a text. Another attempt has a longer middle.
pub(super) fn partial(
    value: &str,
    mask: &PartialMask,
    limit: Option<usize>,
    attempt: u8,
    out: &mut Vec<u8>,
) {
    let (start, length) = (out.len(), value.chars().count());
    let (first, last) = match mask.first.saturating_add(mask.last) {
        shown if shown < length => (mask.first, mask.last),
        _ => (0, 0),
    };
    let place = |at: usize| value.char_indices().nth(at).map_or(value.len(), |(place, _)| place);
    out.extend_from_slice(&value.as_bytes()[..place(first)]);
    // Repeated if the value already contains it there.
    for _ in 0..=attempt {
        out.extend_from_slice(mask.with.as_bytes());
    }
    let room = limit.map(|limit| limit.saturating_sub(last));
    if let Some(room) = room {
        cut(out, start, room);
    }
    if last > 0 {
        out.extend_from_slice(&value.as_bytes()[place(length - last)..]);
    }
    if let Some(limit) = limit {
        cut(out, start, limit);
    }
}

/// Truncates the text appended since `start` to a number of characters.
pub(super) fn cut(out: &mut Vec<u8>, start: usize, limit: usize) {
    let is_first = |byte: &u8| byte & 0xc0 != 0x80;
    let end = out[start..].iter().enumerate().filter(|(_, byte)| is_first(byte)).nth(limit);
    if let Some((end, _)) = end {
        out.truncate(start + end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        for (limit, expected) in [(0, "ab"), (1, "abä"), (2, "abäx"), (3, "abäxy"), (9, "abäxy")]
        {
            let mut out = "abäxy".as_bytes().to_vec();
            cut(&mut out, 2, limit);
            assert_eq!(out, expected.as_bytes());
        }
    }
}
