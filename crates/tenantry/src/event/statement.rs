/// Formats a statement as one line of at most this many characters.
///
/// White space is collapsed to one space, and control characters are dropped, so that a log line
/// stays one line.
pub(super) fn shorten(sql: &str, most: usize) -> String {
    let mut short = String::with_capacity(sql.len().min(most.saturating_add(1)));
    let (mut count, mut space) = (0, false);
    for character in sql.chars() {
        if character.is_whitespace() {
            space = count > 0;
            continue;
        }
        if character.is_control() {
            continue;
        }
        let needed = 1 + usize::from(space);
        if count + needed > most {
            short.push('…');
            break;
        }
        if std::mem::take(&mut space) {
            short.push(' ');
        }
        short.push(character);
        count += needed;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_on_one_line() {
        for (sql, most, expected) in [
            ("select 1", 200, "select 1"),
            ("\n  select *\r\n\tfrom users\n", 200, "select * from users"),
            ("select 1", 8, "select 1"),
            ("select 12", 8, "select 1…"),
            ("select  1", 7, "select…"),
            ("ééé", 2, "éé…"),
            ("a\u{1b}[31mb\0", 200, "a[31mb"),
            ("", 200, ""),
            ("select", 0, "…"),
        ] {
            assert_eq!(shorten(sql, most), expected, "{sql:?}");
        }
    }
}
