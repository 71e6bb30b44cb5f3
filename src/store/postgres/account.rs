//! Under whose name the managed server runs. PostgreSQL refuses root, so root lends it another account.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::StoreError;

/// An account of this machine. It must have a passwd entry: `initdb` refuses a bare number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The account to lend to the server, or none when the caller's own will do.
pub(super) fn lent() -> Result<Option<Account>, StoreError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(StoreError::file("read", "/etc/passwd"))?;
    choose(&passwd).map(Some).ok_or(StoreError::Managed {
        detail: "neither an account `postgres` nor `nobody` exists, and postgresql refuses to run as root".to_owned(),
        hint: "add one of the two accounts, run specwave as another user, or set DATABASE_URL",
    })
}

fn choose(passwd: &str) -> Option<Account> {
    let account = |name: &str| passwd.lines().filter_map(parse).find(|account| account.name == name && account.uid != 0);
    account("postgres").or_else(|| account("nobody"))
}

fn parse(line: &str) -> Option<Account> {
    let mut parts = line.split(':');
    let name = parts.next()?.to_owned();
    let uid = parts.nth(1)?.parse().ok()?;
    let gid = parts.next()?.parse().ok()?;
    Some(Account { name, uid, gid })
}

/// Where the server's files live: below the data directory when the account can get there (the home of root is closed to others),
/// else below `/var/lib/specwave`, apart for each data directory.
pub(super) fn home(data_dir: &Path, account: Option<&Account>) -> PathBuf {
    match account {
        Some(account) if !reachable(data_dir, account) => {
            let digest = hex::encode(Sha256::digest(data_dir.as_os_str().as_encoded_bytes()));
            PathBuf::from("/var/lib/specwave/elsewhere").join(&digest[..12]).join("postgres")
        }
        _ => data_dir.join("postgres"),
    }
}

fn reachable(path: &Path, account: &Account) -> bool {
    path.ancestors().filter_map(|folder| fs::metadata(folder).ok()).all(|folder| {
        let bit = if folder.uid() == account.uid {
            0o100
        } else if folder.gid() == account.gid {
            0o010
        } else {
            0o001
        };
        folder.mode() & bit != 0
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn postgres_comes_before_nobody_and_root_is_never_lent() {
        let check = |passwd: &str, expect: Option<(&str, u32, u32)>| {
            let expect = expect.map(|(name, uid, gid)| Account { name: name.to_owned(), uid, gid });
            assert_eq!(choose(passwd), expect, "{passwd}");
        };
        check("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false", Some(("nobody", 65534, 65534)));
        check("nobody:x:65534:65534::/:/bin/false\npostgres:x:101:104::/:/bin/sh", Some(("postgres", 101, 104)));
        check("root:x:0:0::/root:/bin/sh\npostgres:x:0:0::/:/bin/sh\nbroken", None);
    }

    #[test]
    fn a_closed_folder_sends_the_server_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let other = Account { name: "other".to_owned(), uid: 4_242, gid: 4_242 };
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(home(folder.path(), Some(&other)).starts_with("/var/lib/specwave/elsewhere"));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(home(folder.path(), Some(&other)), folder.path().join("postgres"));
        assert_eq!(home(folder.path(), None), folder.path().join("postgres"));
    }
}
