//! A PostgreSQL server of somebody's own, for `DATABASE_URL`: started, stopped and restarted by tests.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use crate::installation::Installation;

/// What is committed need not survive a crash of the machine.
const FAST: &str = "fsync = off\n";

/// A server in a scratch folder, which ends with it.
pub struct Server {
    folder: TempDir,
    bin: PathBuf,
    port: u16,
    /// PostgreSQL refuses root, so root lends it an account.
    account: Option<(u32, u32)>,
}

impl Server {
    /// Makes a server with the role `specwave`, password `secret`, and its database; starts it.
    pub async fn start() -> Self {
        Self::start_with(FAST).await
    }

    /// The same with other settings, one line each, in place of those that make it fast.
    pub async fn start_with(settings: &str) -> Self {
        Self::start_of(programs(), settings).await
    }

    /// The same with the programs of this machine, which include those that dump and read.
    pub async fn start_with_clients() -> Self {
        let programs = below(Path::new("/usr/lib/postgresql"), "pg_dump").expect("scripts/stack installs PostgreSQL");
        Self::start_of(programs, FAST).await
    }

    async fn start_of(bin: PathBuf, settings: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let account = rustix::process::geteuid().is_root().then(account);
        if let Some((uid, gid)) = account {
            chown(&data, Some(uid), Some(gid)).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { folder, bin, port, account };
        server.run("initdb", &["--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"]);
        let settings = format!("listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n{settings}", data.display());
        fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
        server.ctl("start", "fast");
        server.sql("postgres", "create role specwave login createrole password 'secret'").await;
        server.sql("postgres", "create database specwave owner specwave").await;
        server
    }

    /// Where to reach it, as that user.
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Starts, stops or restarts it: `fast` ends its sessions in order, `immediate` is a crash.
    pub fn ctl(&self, verb: &str, mode: &str) {
        let mode: &[&str] = if verb == "start" { &[] } else { &["--mode", mode] };
        let log = self.folder.path().join("data/server.log");
        self.run("pg_ctl", &[&[verb, "--wait", "--silent", "--log", log.to_str().unwrap()], mode].concat());
    }

    /// Copies the database of that name into another cluster that has the same roles.
    pub fn copy_to(&self, other: &Self) {
        let dump = self.folder.path().join("dump.sql");
        self.client("pg_dumpall", &["--roles-only", "--file", dump.to_str().unwrap()]);
        other.read(&dump, "postgres");
        self.client("pg_dump", &["--file", dump.to_str().unwrap(), "specwave"]);
        other.read(&dump, "specwave");
    }

    /// Everything in the database of that name, as text; what is binary is in hexadecimal digits.
    pub fn dump(&self) -> String {
        let dump = self.folder.path().join("dump.sql");
        self.client("pg_dump", &["--inserts", "--file", dump.to_str().unwrap(), "specwave"]);
        fs::read_to_string(dump).unwrap()
    }

    /// Runs a file of statements; roles that are there already are no failure.
    fn read(&self, file: &Path, database: &str) {
        self.client("psql", &["--no-psqlrc", "--quiet", "--file", file.to_str().unwrap(), database]);
    }

    fn client(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.bin.join(program));
        command.arg("--username=postgres").arg("--host").arg(self.folder.path().join("data")).args(["--port", &self.port.to_string()]);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().unwrap().success(), "{program} {arguments:?}");
    }

    /// How to reach it as the superuser.
    pub fn superuser(&self, database: &str) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass().username("postgres").database(database);
        options.socket(self.folder.path().join("data")).port(self.port)
    }

    /// Runs a statement as the superuser.
    pub async fn sql(&self, database: &str, statement: &str) {
        let mut connection = PgConnection::connect_with(&self.superuser(database)).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.bin.join(program));
        command.arg("--pgdata").arg(self.folder.path().join("data")).args(arguments).current_dir("/");
        command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((uid, gid)) = self.account {
            command.uid(uid).gid(gid);
        }
        assert!(command.status().unwrap().success(), "{program} {arguments:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.folder.path().join("data/postmaster.pid").exists() {
            self.ctl("stop", "immediate");
        }
    }
}

/// The programs that the shared installation has fetched, or those of this machine.
fn programs() -> PathBuf {
    let shared = Installation::shared();
    let kept = shared.data_dir().join("postgres/programs");
    if let Some(programs) = below(&kept, "initdb") {
        return programs;
    }
    let status = shared.call(&["status"]);
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    below(&kept, "initdb")
        .or_else(|| below(Path::new("/usr/lib/postgresql"), "initdb"))
        .expect("the shared installation has started a server with some programs")
}

/// The newest folder of programs with that one.
fn below(folder: &Path, program: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("bin")).filter(|bin| bin.join(program).is_file()).max()
}

fn account() -> (u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = |name: &str| passwd.lines().find(|line| line.starts_with(&format!("{name}:"))).map(str::to_owned);
    let line = line("postgres").or_else(|| line("nobody")).unwrap();
    let parts: Vec<&str> = line.split(':').collect();
    (parts[2].parse().unwrap(), parts[3].parse().unwrap())
}
