//! What the compiler says about common mistakes. Each file in an adapter's `tests/ui` makes one, and has in its lines
//! with `//~` what the message has to contain. Only those words are compared: the rest is the compiler's own.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

/// The mistakes of an adapter's tests.
#[derive(Debug, Clone, Copy)]
pub struct Mistakes<'a> {
    /// The folder with the files. One of them, `fits.rs`, makes no mistake.
    pub folder: &'a str,
    /// A folder for what the compiler writes: `env!("CARGO_TARGET_TMPDIR")`.
    pub output: &'a str,
    /// The crates that the files use, which cargo has built for the test. All others are found by these.
    pub crates: &'a [&'a str],
}

impl Mistakes<'_> {
    /// Compiles each file, and compares the messages. Returns how many files there are.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or the compiler not be run.
    ///
    /// # Panics
    ///
    /// A message does not have the words, or the crates do not fit together.
    pub fn check(self) -> io::Result<usize> {
        let built = Built::find(self)?;
        let mut checked = 0;
        for entry in fs::read_dir(self.folder)? {
            let path = entry?.path();
            let source = fs::read_to_string(&path)?;
            let expected: Vec<_> =
                source.lines().filter_map(|line| line.strip_prefix("//~ ")).collect();
            if expected.is_empty() {
                continue;
            }
            // A message is broken into lines wherever the compiler likes.
            let message = built.compile(&path)?;
            let flat = message.split_whitespace().collect::<Vec<_>>().join(" ");
            let file = path.display();
            for words in expected {
                assert!(flat.contains(words), "{file} is to say {words:?}, and says:\n{message}");
            }
            checked += 1;
        }
        Ok(checked)
    }
}

/// Where cargo has put the crates that a test is made of.
struct Built<'a> {
    mistakes: Mistakes<'a>,
    folder: PathBuf,
    /// One file for each of the crates.
    crates: Vec<PathBuf>,
}

impl<'a> Built<'a> {
    /// Finds crates that belong together. A folder can have several builds of each, with other features:
    /// the newest that fit are taken.
    fn find(mistakes: Mistakes<'a>) -> io::Result<Self> {
        let program = env::current_exe()?;
        let folder = program.parent().expect("a program is in a folder").to_owned();
        let mut built = Self { mistakes, folder, crates: Vec::new() };
        let candidates = mistakes.crates.iter().map(|name| built.candidates(name));
        let candidates = candidates.collect::<io::Result<Vec<_>>>()?;
        let mut chosen = vec![0; candidates.len()];
        loop {
            built.crates = candidates.iter().zip(&chosen).map(|(of, &n)| of[n].clone()).collect();
            if built.compile(&Path::new(mistakes.folder).join("fits.rs"))?.is_empty() {
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

    /// Compiles a file, and returns what the compiler says.
    fn compile(&self, file: &Path) -> io::Result<String> {
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--color=never"]);
        rustc.args(["--out-dir", self.mistakes.output]);
        rustc.arg("-L").arg(format!("dependency={}", self.folder.display()));
        for (name, path) in self.mistakes.crates.iter().zip(&self.crates) {
            rustc.arg("--extern").arg(format!("{name}={}", path.display()));
        }
        let output = rustc.arg(file).output()?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
