//! What the compiler says about the common mistakes. Each file in `tests/ui` makes one, and has in its lines
//! with `//~` what the message has to contain. Only those words are compared: the rest is the compiler's own.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use crate::support::TestResult;

/// The crates that the files use. All others are found by these.
const CRATES: [&str; 4] = ["tenantry_axum", "tenantry", "axum", "sqlx"];

/// Where cargo has put the crates that this test is made of.
struct Built {
    folder: PathBuf,
    /// One file for each of [`CRATES`].
    crates: Vec<PathBuf>,
}

impl Built {
    /// Finds crates that belong together. A folder can have several builds of each, with other features:
    /// the newest that fit are taken.
    fn find() -> io::Result<Self> {
        let program = env::current_exe()?;
        let folder = program.parent().expect("a program is in a folder").to_owned();
        let mut built = Self { folder, crates: Vec::new() };
        let candidates =
            CRATES.iter().map(|name| built.candidates(name)).collect::<io::Result<Vec<_>>>()?;
        let mut chosen = vec![0; CRATES.len()];
        loop {
            built.crates = candidates.iter().zip(&chosen).map(|(of, &n)| of[n].clone()).collect();
            if built.compile("fits.rs")?.is_empty() {
                return Ok(built);
            }
            // The next combination, as an odometer counts.
            let next = (0..chosen.len()).find(|&place| chosen[place] + 1 < candidates[place].len());
            let place = next.expect("no builds of the crates fit together: run `cargo clean`");
            chosen[place] += 1;
            chosen[..place].fill(0);
        }
    }

    /// Lists the builds of a crate, the newest first, three at most.
    fn candidates(&self, name: &str) -> io::Result<Vec<PathBuf>> {
        let prefix = format!("lib{name}-");
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
            if file.starts_with(&prefix) && file.ends_with(".rlib") {
                found.push((fs::metadata(&path)?.modified()?, path));
            }
        }
        found.sort_by_key(|(modified, _)| std::cmp::Reverse::<SystemTime>(*modified));
        assert!(!found.is_empty(), "there is no {prefix}*.rlib in {}", self.folder.display());
        Ok(found.into_iter().take(3).map(|(_, path)| path).collect())
    }

    /// Compiles a file of `tests/ui`, and returns what the compiler says.
    fn compile(&self, file: &str) -> io::Result<String> {
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--color=never"]);
        rustc.arg("--out-dir").arg(env!("CARGO_TARGET_TMPDIR"));
        rustc.arg("-L").arg(format!("dependency={}", self.folder.display()));
        for (name, path) in CRATES.iter().zip(&self.crates) {
            rustc.arg("--extern").arg(format!("{name}={}", path.display()));
        }
        let output = rustc.arg(ui().join(file)).output()?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn ui() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui")
}

#[test]
fn say_what_to_do() -> TestResult {
    let built = Built::find()?;
    let mut tested = 0;
    for entry in fs::read_dir(ui())? {
        let file = entry?.file_name().into_string().map_err(|_| "a name that is no text")?;
        let source = fs::read_to_string(ui().join(&file))?;
        let expected: Vec<_> =
            source.lines().filter_map(|line| line.strip_prefix("//~ ")).collect();
        if expected.is_empty() {
            continue;
        }
        // A message is broken into lines wherever the compiler likes.
        let message = built.compile(&file)?;
        let flat = message.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in expected {
            assert!(flat.contains(words), "{file} is to say {words:?}, and says:\n{message}");
        }
        tested += 1;
    }
    assert_eq!(tested, 8);
    Ok(())
}
