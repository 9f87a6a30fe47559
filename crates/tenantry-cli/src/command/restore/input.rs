//! Looks at the file to restore, and says what to do with one that cannot be.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use crate::failure::Failure;

/// What a file to restore has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// The rows of a tenant that is isolated by row.
    Rows,
    /// A dump of a schema, unless it is something unknown: reading it tells.
    Schema,
}

/// The beginning of a file with the rows of a tenant.
const ROWS: &[u8] = b"tenantry rows ";

/// How much of a file is looked at, in bytes: up to the mark of a tar archive.
const LOOKED_AT: u64 = 262;

/// Looks at the beginning of the file.
///
/// # Errors
///
/// If it cannot be read, or if it is recognized as something that cannot be restored.
pub(super) fn look(path: &Path) -> Result<Input, Failure> {
    let shown = path.display();
    // Several programs open the file, one after the other.
    if path.as_os_str() == "-"
        || ["/dev/stdin", "/dev/fd", "/proc"].iter().any(|of| path.starts_with(of))
    {
        return Err(Failure::new(format!(
            "--input {shown} is not a file: a dump is not read from standard input"
        ))
        .hint("write the dump to a file first, and name that file"));
    }
    let failed =
        |error: io::Error| Failure::while_doing(format_args!("reading the dump {shown}"), &error);
    let found = fs::metadata(path).map_err(failed)?;
    if found.is_dir() {
        return Err(Failure::new(format!("{shown} is a folder, and a dump is one file"))
            .hint("name the file that `tenantry dump` has written"));
    }
    if !found.is_file() {
        return Err(Failure::new(format!(
            "{shown} is a pipe or device, and a dump is read more than once"
        ))
        .hint("write the dump to a file first, and name that file"));
    }
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LOOKED_AT).read_to_end(&mut start))
        .map_err(failed)?;
    match objection(&start) {
        Some((what, hint)) => Err(Failure::new(format!("{shown} {what}")).hint(hint)),
        None if start.starts_with(ROWS) => Ok(Input::Rows),
        None => Ok(Input::Schema),
    }
}

/// Says why a file that begins like this cannot be restored, and what to do, if it is recognized.
fn objection(start: &[u8]) -> Option<(&'static str, &'static str)> {
    const REENCODED: &str = "an editor or a shell has changed its encoding: dump the tenant again with --output, and copy \
                             the file as binary data";
    let begins: [(&[u8], _, _); 8] = [
        (&[0x1f, 0x8b], "is compressed with gzip", "decompress it first, with `gzip --decompress`"),
        (
            &[0x28, 0xb5, 0x2f, 0xfd],
            "is compressed with zstd",
            "decompress it first, with `zstd --decompress`",
        ),
        (
            &[0xfd, b'7', b'z', b'X', b'Z'],
            "is compressed with xz",
            "decompress it first, with `xz --decompress`",
        ),
        (b"BZh", "is compressed with bzip2", "decompress it first, with `bzip2 --decompress`"),
        (b"PK\x03\x04", "is a zip archive", "extract the dump from it first, with `unzip`"),
        (
            &[0xef, 0xbb, 0xbf],
            "begins with a byte order mark, so it is not as it was dumped",
            REENCODED,
        ),
        (&[0xff, 0xfe], "is UTF-16 text, so it is not as it was dumped", REENCODED),
        (&[0xfe, 0xff], "is UTF-16 text, so it is not as it was dumped", REENCODED),
    ];
    if start.is_empty() {
        return Some((
            "is empty",
            "dump the tenant again: the dump was interrupted, or written elsewhere",
        ));
    }
    if start.get(257..) == Some(b"ustar") {
        return Some((
            "is a dump in the tar format, or another tar archive",
            "dump the tenant with `tenantry dump`, or in the custom format of pg_dump",
        ));
    }
    let known = begins.into_iter().find(|(begin, _, _)| start.starts_with(begin));
    known.map(|(_, what, hint)| (what, hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_restored_is_recognized_by_its_beginning() {
        let mut tar = vec![b'x'; 257];
        tar.extend(b"ustar");
        for (start, what) in [
            (&b"\x1f\x8b\x08"[..], "gzip"),
            (b"\xef\xbb\xbfselect 1", "byte order mark"),
            (b"\xef\xbb\xbftenantry rows 1\n", "byte order mark"),
            (b"\xff\xfet\0e\0", "UTF-16"),
            (b"", "empty"),
            (&tar, "tar format"),
        ] {
            let (said, hint) = objection(start).unwrap();
            assert!(said.contains(what) && !hint.is_empty(), "{said}: {hint}");
        }
        for start in [&b"PGDMP"[..], b"tenantry rows 1\n", b"select 1;", b"\x1f"] {
            assert_eq!(objection(start), None);
        }
    }
}
