use std::{fs, io};

/// Memory that belongs to a single process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PrivateMemory {
    /// The total as counted by the kernel: clean and dirty.
    pub(crate) bytes: u64,
}

/// Reads the private memory of a process.
///
/// # Errors
///
/// If the process does not exist or belongs to another user, or this is not Linux.
pub(crate) fn private_memory(pid: u32) -> io::Result<PrivateMemory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    parse(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn parse(text: &str) -> Option<PrivateMemory> {
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    let kib = field("Private_Clean:")? + field("Private_Dirty:")?;
    Some(PrivateMemory { bytes: kib * 1_024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_what_is_private() {
        let text = "55d0-7ffc ---p 00000000 00:00 0 [rollup]\n\
                    Rss:             1000 kB\n\
                    Shared_Clean:     500 kB\n\
                    Private_Clean:     12 kB\n\
                    Private_Dirty:    300 kB\n";
        assert_eq!(parse(text), Some(PrivateMemory { bytes: 312 * 1_024 }));
        assert_eq!(parse("Rss: 1000 kB\n"), None);
    }
}
