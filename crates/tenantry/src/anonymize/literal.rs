//! Arrays and composites as PostgreSQL writes them.

use super::{json_text::string_length, outcome::Unfit};

/// The replacement of an element or a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Null,
    Value,
    /// It is unchanged.
    Same,
}

/// Rewrites an array, with each non-null element replaced by what `each` appends. Dimensions and bounds are
/// unchanged.
///
/// See [the syntax](https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO).
pub(super) fn rewrite_array(
    array: &[u8],
    out: &mut Vec<u8>,
    mut each: impl FnMut(&[u8], &mut Vec<u8>) -> Result<Written, Unfit>,
) -> Result<(), Unfit> {
    let start = match array.first() {
        Some(b'[') => 1 + array.iter().position(|byte| *byte == b'=').ok_or(Unfit::NotAnArray)?,
        _ => 0,
    };
    let (bounds, mut rest) = array.split_at(start);
    out.extend_from_slice(bounds);
    let (mut depth, mut element, mut mask) = (0_usize, Vec::new(), Vec::new());
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b'{' => depth += 1,
            _ if depth == 0 => return Err(Unfit::NotAnArray),
            b'}' => depth -= 1,
            b',' => {}
            _ => {
                rest = rewrite_element(rest, &mut element, &mut mask, out, &mut each)?;
                continue;
            }
        }
        out.push(*byte);
        rest = after;
        if depth == 0 {
            break;
        }
    }
    match depth == 0 && rest.is_empty() && array.len() > start {
        true => Ok(()),
        false => Err(Unfit::NotAnArray),
    }
}

/// Rewrites the element at the start of a text, and returns the text after it.
fn rewrite_element<'t>(
    text: &'t [u8],
    element: &mut Vec<u8>,
    mask: &mut Vec<u8>,
    out: &mut Vec<u8>,
    mut each: impl FnMut(&[u8], &mut Vec<u8>) -> Result<Written, Unfit>,
) -> Result<&'t [u8], Unfit> {
    let is_quoted = text.first() == Some(&b'"');
    let length = match is_quoted {
        // Quotes and backslashes are those of JSON.
        true => string_length(text),
        false => text.iter().position(|byte| matches!(byte, b',' | b'}' | b'{')),
    };
    let (written, rest) = text.split_at(length.ok_or(Unfit::NotAnArray)?);
    if !is_quoted && written.eq_ignore_ascii_case(b"null") {
        out.extend_from_slice(written);
        return Ok(rest);
    }
    unescape(if is_quoted { &written[1..written.len() - 1] } else { written }, element);
    mask.clear();
    match each(element, mask)? {
        Written::Null => out.extend_from_slice(b"NULL"),
        Written::Same => out.extend_from_slice(written),
        Written::Value => quote(mask, out),
    }
    Ok(rest)
}

/// Rewrites a composite, with each non-null field replaced by what `each` appends. The first argument is the number
/// of the field.
///
/// See [the syntax](https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-IO-SYNTAX).
pub(super) fn rewrite_composite(
    composite: &[u8],
    fields: usize,
    out: &mut Vec<u8>,
    mut each: impl FnMut(usize, &[u8], &mut Vec<u8>) -> Result<Written, Unfit>,
) -> Result<(), Unfit> {
    let inner = composite.strip_prefix(b"(").and_then(|inner| inner.strip_suffix(b")"));
    let mut rest = inner.ok_or(Unfit::NotAComposite)?;
    let (mut field, mut mask) = (Vec::new(), Vec::new());
    out.push(b'(');
    for number in 0.. {
        let length = field_length(rest, &mut field).ok_or(Unfit::NotAComposite)?;
        let (written, after) = rest.split_at(length);
        if !written.is_empty() {
            mask.clear();
            match each(number, &field, &mut mask)? {
                Written::Null => {}
                Written::Same => out.extend_from_slice(written),
                Written::Value => quote(&mask, out),
            }
        }
        match after.split_first() {
            Some((_, after)) => {
                out.push(b',');
                rest = after;
            }
            None if number + 1 == fields || fields == 0 => break,
            None => return Err(Unfit::NotAComposite),
        }
    }
    out.push(b')');
    Ok(())
}

/// Reads a field up to a comma or the end; returns its length as written.
fn field_length(text: &[u8], field: &mut Vec<u8>) -> Option<usize> {
    field.clear();
    let (mut at, mut in_quotes) = (0, false);
    while let Some(byte) = text.get(at) {
        match byte {
            b',' if !in_quotes => break,
            b'\\' => {
                at += 1;
                field.push(*text.get(at)?);
            }
            b'"' if in_quotes && text.get(at + 1) == Some(&b'"') => {
                at += 1;
                field.push(b'"');
            }
            b'"' => in_quotes = !in_quotes,
            _ => field.push(*byte),
        }
        at += 1;
    }
    (!in_quotes).then_some(at)
}

fn unescape(text: &[u8], value: &mut Vec<u8>) {
    value.clear();
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => value.extend(bytes.next()),
            _ => value.push(*byte),
        }
    }
}

/// Appends a quoted value. Both arrays and composites read a backslash before a quote.
fn quote(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn upper_array(array: &str) -> Result<String, Unfit> {
        let mut out = Vec::new();
        rewrite_array(array.as_bytes(), &mut out, |element, out| {
            out.extend(element.iter().map(u8::to_ascii_uppercase));
            Ok(Written::Value)
        })?;
        Ok(String::from_utf8(out).unwrap())
    }

    /// Reads the elements of an array without dimensions.
    fn elements(array: &[u8]) -> Vec<Vec<u8>> {
        let mut elements = Vec::new();
        rewrite_array(array, &mut Vec::new(), |element, _| {
            elements.push(element.to_vec());
            Ok(Written::Same)
        })
        .unwrap();
        elements
    }

    #[test]
    fn elements_are_replaced() {
        for (array, expected) in [
            ("{}", "{}"),
            ("{a,b}", r#"{"A","B"}"#),
            ("{NULL,a,null}", r#"{NULL,"A",null}"#),
            (r#"{"NULL","a b","x,y"}"#, r#"{"NULL","A B","X,Y"}"#),
            (r#"{"a\"b","c\\d"}"#, r#"{"A\"B","C\\D"}"#),
            ("{{a,b},{c,NULL}}", r#"{{"A","B"},{"C",NULL}}"#),
            ("[0:1]={a,b}", r#"[0:1]={"A","B"}"#),
            ("[-2:-1][0:0]={{a},{b}}", r#"[-2:-1][0:0]={{"A"},{"B"}}"#),
            (r#"{""}"#, r#"{""}"#),
            (r#"{"}{"}"#, r#"{"}{"}"#),
        ] {
            assert_eq!(upper_array(array).as_deref(), Ok(expected), "{array}");
        }
    }

    #[test]
    fn what_is_no_array_is_refused() {
        for array in
            ["", "a", "{", "{a", "{a}b", "{{a}", "[0:1]", "{\"a}", "{\"a\\", "}{", ",", "[0:1]="]
        {
            assert_eq!(upper_array(array), Err(Unfit::NotAnArray), "{array}");
        }
    }

    #[test]
    fn elements_stay_or_become_null() {
        let mut out = Vec::new();
        let array = br#"{a,"b c",d}"#;
        rewrite_array(array, &mut out, |element, _| match element {
            b"b c" => Ok(Written::Null),
            _ => Ok(Written::Same),
        })
        .unwrap();
        assert_eq!(out, b"{a,NULL,d}");
    }

    fn upper_composite(composite: &str, fields: usize) -> Result<String, Unfit> {
        let mut out = Vec::new();
        rewrite_composite(composite.as_bytes(), fields, &mut out, |number, field, out| {
            match number {
                2 => return Ok(Written::Null),
                3 => return Ok(Written::Same),
                _ => out.extend(field.iter().map(u8::to_ascii_uppercase)),
            }
            Ok(Written::Value)
        })?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn fields_are_replaced() {
        for (composite, fields, expected) in [
            ("(a,b)", 2, r#"("A","B")"#),
            (r#"(a,"b c",x,"d e")"#, 4, r#"("A","B C",,"d e")"#),
            (r#"("a""b","c\\d")"#, 2, r#"("A\"B","C\\D")"#),
            ("(,)", 2, "(,)"),
            ("()", 1, "()"),
            (r#"("",a)"#, 2, r#"("","A")"#),
            (r#"("(x,""y z"")",a)"#, 2, r#"("(X,\"Y Z\")","A")"#),
        ] {
            assert_eq!(upper_composite(composite, fields).as_deref(), Ok(expected), "{composite}");
        }
    }

    #[test]
    fn what_is_no_composite_is_refused() {
        for composite in ["", "(", "(a", "a)", "(a)", "(a,b,c)", "(\"a,b)", "(a,b\\)"] {
            let error = upper_composite(composite, 2);
            assert_eq!(error, Err(Unfit::NotAComposite), "{composite}");
        }
    }

    proptest! {
        #[test]
        fn elements_that_are_written_are_read(expected in prop::collection::vec(any::<Vec<u8>>(), 1..5)) {
            let mut out = Vec::new();
            let mut values = expected.iter();
            let array = format!("{{{}}}", vec!["x"; expected.len()].join(","));
            rewrite_array(array.as_bytes(), &mut out, |_, out| {
                out.extend_from_slice(values.next().unwrap());
                Ok(Written::Value)
            }).unwrap();
            prop_assert_eq!(elements(&out), expected);
        }

        #[test]
        fn fields_that_are_written_are_read(expected in prop::collection::vec(any::<Vec<u8>>(), 1..5)) {
            let (mut out, mut read) = (Vec::new(), Vec::new());
            let composite = format!("({})", vec!["x"; expected.len()].join(","));
            rewrite_composite(composite.as_bytes(), expected.len(), &mut out, |number, _, out| {
                out.extend_from_slice(&expected[number]);
                Ok(Written::Value)
            }).unwrap();
            rewrite_composite(&out, expected.len(), &mut Vec::new(), |_, field, _| {
                read.push(field.to_vec());
                Ok(Written::Same)
            }).unwrap();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn nothing_panics(text: Vec<u8>) {
            let _ = rewrite_array(&text, &mut Vec::new(), |_, _| Ok(Written::Same));
            let _ = rewrite_composite(&text, 2, &mut Vec::new(), |_, _, _| Ok(Written::Same));
        }
    }
}
