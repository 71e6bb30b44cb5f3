//! The managed local PostgreSQL: one server per data directory, shared by every specwave process on it.
//!
//! Two lock files decide who may do what. `users.lock` is held shared by every process for as long as it uses the server;
//! `control.lock` is held exclusively by whoever starts or stops it, never for longer. The last one to leave finds that it can
//! turn its shared lock into an exclusive one, and stops the server. A process that is killed loses its locks with its life; the
//! server then stays until the next call adopts it, or replaces it when it is dead too.

use std::fs::{self, File, TryLockError};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::account;
use super::programs;
use super::server::{self, Alive, SUPERUSER, Server};
use super::{StoreError, roles};

/// How long another process may take to start the server: fetching its programs included.
const CONTROL_TIMEOUT: Duration = Duration::from_mins(5);
/// How long a server that was found may take to answer before it is replaced.
const ADOPT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may say that it is starting, recovering or stopping.
const BUSY_TIMEOUT: Duration = Duration::from_mins(1);
/// What such a server answers.
const CANNOT_CONNECT_NOW: &str = "57P03";
/// How often a lock or a server that comes up is looked at.
const POLL: Duration = Duration::from_millis(50);
/// The database, and the role that owns it.
const OWNER: &str = "specwave";

/// A running managed server, held by this process.
#[derive(Debug)]
pub struct Managed {
    server: Server,
    folder: PathBuf,
    users: File,
    port: u16,
    password: String,
}

/// Where the managed server's parts are.
#[derive(Debug, Clone)]
struct Layout {
    folder: PathBuf,
    account: Option<account::Account>,
}

impl Layout {
    fn new(data_dir: &Path) -> Result<Self, StoreError> {
        let account = account::lent()?;
        Ok(Self { folder: account::home(data_dir, account.as_ref()), account })
    }

    /// The server's own part, which belongs to its account.
    fn home(&self) -> PathBuf {
        self.folder.join("server")
    }
}

impl Managed {
    /// Starts the server of that data directory, or joins the one that runs. Makes it on the first call.
    pub async fn start(data_dir: &Path, offline: bool) -> Result<Self, StoreError> {
        let layout = Layout::new(data_dir)?;
        make_folder(&layout.folder)?;
        let control = open_lock(&layout.folder.join("control.lock"))?;
        lock(&control).await?;
        let users = open_lock(&layout.folder.join("users.lock"))?;
        users.lock_shared().map_err(StoreError::file("lock", layout.folder.join("users.lock")))?;
        let password = password(&layout.folder.join("password"))?;
        let programs = programs::prepare(&layout.folder.join("programs"), server::recorded_major(&layout.home())?, offline).await?;
        let server = Server { home: layout.home(), programs, account: layout.account };
        let alive = bring_up(&server, &password).await?;
        let managed = Self { server, folder: layout.folder, users, port: alive.port, password };
        managed.prepare_database().await?;
        drop(control);
        Ok(managed)
    }

    /// How to reach the database as its owner, who is neither superuser nor above row-level security.
    pub(super) fn options(&self) -> PgConnectOptions {
        options(self.port, OWNER, OWNER, &self.password)
    }

    /// How to reach a database as the superuser; only for making roles and databases.
    pub(super) fn superuser_options(&self, database: &str) -> PgConnectOptions {
        options(self.port, SUPERUSER, database, &self.password)
    }

    /// Makes an empty database, in place of one that has that name, and says how its owner reaches it: for services that were
    /// generated, which speak to PostgreSQL themselves.
    pub async fn fresh_database(&self, name: &str) -> Result<String, StoreError> {
        let mut connection = PgConnection::connect_with(&self.superuser_options("postgres")).await?;
        sqlx::query(AssertSqlSafe(format!("drop database if exists {}", roles::quoted(name)))).execute(&mut connection).await?;
        roles::create_database(&mut connection, name, OWNER).await?;
        connection.close().await?;
        Ok(format!("postgresql://{OWNER}:{}@127.0.0.1:{}/{name}", self.password, self.port))
    }

    /// One line for `doctor`: address, account and where the programs come from.
    pub fn describe(&self) -> String {
        let account = self.server.account.as_ref().map_or_else(String::new, |account| format!(", as {}", account.name));
        format!("127.0.0.1:{}, {}{account}, {}", self.port, self.server.programs.origin, self.folder.display())
    }

    /// Leaves the server; the last process to leave stops it. Nothing of this process may use it afterwards.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let control = open_lock(&self.folder.join("control.lock"))?;
        lock(&control).await?;
        match self.users.try_lock() {
            // One that died meanwhile needs no stopping; the next call starts it again.
            Ok(()) if self.server.alive().is_some() => self.server.stop("fast").await?,
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(StoreError::file("lock", self.folder.join("users.lock"))(error)),
        }
        self.users.unlock().map_err(StoreError::file("unlock", self.folder.join("users.lock")))
    }

    /// Leaves the server and, when it was the last to use it, deletes its data.
    #[cfg(test)]
    pub(super) async fn discard(self) -> Result<(), StoreError> {
        let control = open_lock(&self.folder.join("control.lock"))?;
        lock(&control).await?;
        if self.users.try_lock().is_ok() {
            self.server.stop("immediate").await?;
            fs::remove_dir_all(&self.server.home).map_err(StoreError::file("remove", &self.server.home))?;
        }
        Ok(())
    }

    /// Makes the owner and the database, once.
    async fn prepare_database(&self) -> Result<(), StoreError> {
        if PgConnection::connect_with(&self.options()).await.is_ok() {
            return Ok(());
        }
        let mut connection = PgConnection::connect_with(&self.superuser_options("postgres")).await?;
        roles::create_owner(&mut connection, OWNER, &self.password).await?;
        roles::create_database(&mut connection, OWNER, OWNER).await?;
        connection.close().await?;
        Ok(())
    }
}

/// Adopts the server that runs, or starts one.
async fn bring_up(server: &Server, password: &str) -> Result<Alive, StoreError> {
    if let Some(alive) = server.alive() {
        match answers(server, alive, password).await {
            Ok(()) => return Ok(alive),
            // It was being stopped.
            Err(_) if server.alive().is_none() => {}
            Err(error) => {
                tracing::warn!(%error, port = alive.port, "a postgresql was left behind and does not answer, replacing it");
                let stopped = server.stop("immediate").await;
                if server.alive().is_some() {
                    stopped?;
                }
            }
        }
    }
    if server::recorded_major(&server.home)?.is_none() {
        server.initialize(password).await?;
    }
    let alive = server.start().await?;
    answers(server, alive, password).await?;
    Ok(alive)
}

/// Waits until the superuser can log in, for as long as the server lives.
async fn answers(server: &Server, alive: Alive, password: &str) -> Result<(), StoreError> {
    let began = Instant::now();
    let options = options(alive.port, SUPERUSER, "postgres", password);
    loop {
        match tokio::time::timeout(ADOPT_TIMEOUT, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => return Ok(connection.close().await?),
            Ok(Err(error)) if server.alive().is_none() || began.elapsed() >= patience(&error) => return Err(error.into()),
            Err(_) => {
                let detail = format!("127.0.0.1:{} gives no answer", alive.port);
                return Err(StoreError::Unavailable { detail, hint: "end that server by hand" });
            }
            Ok(Err(_)) => tokio::time::sleep(POLL).await,
        }
    }
}

/// How long to go on asking after this answer: one that starts, recovers or stops says so, and is busy with that.
fn patience(error: &sqlx::Error) -> Duration {
    let busy = error.as_database_error().and_then(|error| error.code().map(|code| code == CANNOT_CONNECT_NOW));
    if busy == Some(true) { BUSY_TIMEOUT } else { ADOPT_TIMEOUT }
}

fn options(port: u16, user: &str, database: &str, password: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username(user)
        .password(password)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
}

/// The folder is open to the server's account, which must pass through it; what is inside protects itself.
fn make_folder(folder: &Path) -> Result<(), StoreError> {
    let programs = folder.join("programs");
    let missing: Vec<PathBuf> = programs.ancestors().take_while(|path| !path.exists()).map(Path::to_owned).collect();
    fs::create_dir_all(&programs).map_err(StoreError::file("create", &programs))?;
    for path in missing {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(StoreError::file("change the mode of", path))?;
    }
    Ok(())
}

fn open_lock(path: &Path) -> Result<File, StoreError> {
    File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(StoreError::file("open", path))
}

async fn lock(control: &File) -> Result<(), StoreError> {
    let deadline = Instant::now() + CONTROL_TIMEOUT;
    loop {
        match control.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(StoreError::file("lock", "control.lock")(error)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => tokio::time::sleep(POLL).await,
            Err(TryLockError::WouldBlock) => {
                let detail = format!("another process has been starting it for {} s", CONTROL_TIMEOUT.as_secs());
                return Err(StoreError::Managed { detail, hint: "look for a specwave process that hangs" });
            }
        }
    }
}

/// The password of this installation: 256 random bits, made once, readable by its owner alone.
fn password(path: &Path) -> Result<String, StoreError> {
    match fs::read_to_string(path) {
        Ok(password) => return Ok(password),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(StoreError::File { action: "read", path: path.to_owned(), source }),
    }
    let mut bytes = [0_u8; 32];
    let random = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    random.map_err(StoreError::file("read", "/dev/urandom"))?;
    let password = hex::encode(bytes);
    server::write_private(path, &password)?;
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    /// A data directory that the server's account can enter, with the programs that the other tests fetched.
    async fn folder() -> tempfile::TempDir {
        let programs = testing::programs().await;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        make_folder(&folder.path().join("postgres")).unwrap();
        if let Some(programs) = programs {
            fs::remove_dir(folder.path().join("postgres/programs")).unwrap();
            std::os::unix::fs::symlink(programs, folder.path().join("postgres/programs")).unwrap();
        }
        folder
    }

    fn postmaster(folder: &Path) -> Option<i32> {
        fs::read_to_string(folder.join("postgres/server/data/postmaster.pid")).ok()?.lines().next()?.parse().ok()
    }

    #[tokio::test]
    async fn one_server_is_shared_and_the_last_to_leave_stops_it() {
        let folder = folder().await;
        let first = Managed::start(folder.path(), true).await.unwrap();
        let second = Managed::start(folder.path(), true).await.unwrap();
        assert_eq!(first.port, second.port);
        first.leave().await.unwrap();
        PgConnection::connect_with(&second.options()).await.unwrap().close().await.unwrap();
        let mode = fs::metadata(folder.path().join("postgres/password")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        second.leave().await.unwrap();
        assert_eq!(postmaster(folder.path()), None);
        assert!(PgConnection::connect_with(&second.options()).await.is_err());
    }

    #[tokio::test]
    async fn a_server_left_behind_is_adopted_and_a_dead_one_is_replaced_with_its_data() {
        let folder = folder().await;
        let killed = Managed::start(folder.path(), true).await.unwrap();
        let mut connection = PgConnection::connect_with(&killed.options()).await.unwrap();
        sqlx::query("create table kept (id integer)").execute(&mut connection).await.unwrap();
        let port = killed.port;
        drop(killed); // What a killed process does: its locks go, its server stays.
        let adopter = Managed::start(folder.path(), true).await.unwrap();
        assert_eq!(adopter.port, port);
        drop(adopter);
        let pid = rustix::process::Pid::from_raw(postmaster(folder.path()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let replacement = Managed::start(folder.path(), true).await.unwrap();
        let mut connection = PgConnection::connect_with(&replacement.options()).await.unwrap();
        sqlx::query("select from kept").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        replacement.leave().await.unwrap();
    }

    #[tokio::test]
    async fn data_of_another_major_version_are_refused_with_a_hint() {
        let folder = folder().await;
        let data = folder.path().join("postgres/server/data");
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("PG_VERSION"), "9\n").unwrap();
        let error = Managed::start(folder.path(), true).await.unwrap_err();
        assert!(matches!(error, StoreError::MajorVersion { recorded: 9, .. }), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("major version")));
    }
}
