//! The shards of Qdrant Edge on disk: one locked directory for each embedder, a folder for each generation in it, a shard for each
//! collection in that.
//!
//! Called by `edge` alone. What does not open is made anew, and what no generation owns is removed: all of it comes from PostgreSQL.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use qdrant_edge::{
    CreateIndex, DEFAULT_VECTOR_NAME, Distance, EdgeConfig, EdgeConfigBuilder, EdgeShard, EdgeVectorParamsBuilder, FieldIndexOperations,
    PayloadFieldSchema, PayloadSchemaType, UpdateOperation, WalOptions,
};
use rustix::fs::{FlockOperation, flock};

use super::edge::{TENANT, path, text};
use super::point::{FIELDS, SUCCESS};
use super::{At, Collection, NoShard};

const LOCK: &str = "lock";
/// Holds the number of the generation that serves.
const ACTIVE: &str = "active";
const CONFIG: &str = "edge_config.json";
/// The engine's log is preallocated in pieces of this size; one batch of points must fit.
const LOG_PIECE_BYTES: usize = 4 * 1024 * 1024;
/// The engine never cuts its log; beyond this the shard is made anew at the next opening.
const LOG_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The generations of one directory, which this process has for itself.
#[derive(Debug)]
pub(super) struct Shards {
    directory: PathBuf,
    dimension: usize,
    state: RwLock<State>,
    /// Given up after the shards, for fields are dropped in their order.
    _lock: File,
}

#[derive(Debug)]
struct State {
    active: u32,
    opened: BTreeMap<u32, Arc<Opened>>,
}

/// The open shards of one generation.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) by_collection: BTreeMap<Collection, RwLock<EdgeShard>>,
}

impl Drop for Opened {
    /// The engine flushes on drop and panics when it cannot (a full disk); what is lost comes back with the next catch-up.
    fn drop(&mut self) {
        for (collection, shard) in std::mem::take(&mut self.by_collection) {
            if catch_unwind(AssertUnwindSafe(|| drop(shard))).is_err() {
                tracing::warn!(collection = collection.name(), "vectors not flushed; the next start fetches them from PostgreSQL again");
            }
        }
    }
}

impl Shards {
    /// Locks the directory and opens the generation that serves. Blocks.
    pub(super) fn open(directory: PathBuf, dimension: usize) -> Result<Self, NoShard> {
        let lock = lock(&directory)?;
        let active = fs::read_to_string(directory.join(ACTIVE)).ok().and_then(|number| number.trim().parse().ok()).unwrap_or(1);
        let refused = |reason: String| (format!("the shards in {} do not open: {reason}", directory.display()), None);
        let opened = open_generation(&directory, active, dimension).map_err(refused)?;
        remove_others(&directory, active).map_err(|error| refused(error.to_string()))?;
        let state = State { active, opened: BTreeMap::from([(active, Arc::new(opened))]) };
        Ok(Self { directory, dimension, state: RwLock::new(state), _lock: lock })
    }

    /// The shards of a generation; its number when there is none.
    pub(super) fn at(&self, at: At) -> Result<Arc<Opened>, u32> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let number = match at {
            At::Active => state.active,
            At::Numbered(number) => number,
        };
        state.opened.get(&number).cloned().ok_or(number)
    }

    pub(super) fn generations(&self) -> (Vec<u32>, u32) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        (state.opened.keys().copied().collect(), state.active)
    }

    /// Makes an empty generation. Blocks.
    pub(super) fn begin(&self) -> Result<u32, String> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let number = state.opened.keys().max().copied().unwrap_or(0) + 1;
        let opened = open_generation(&self.directory, number, self.dimension)?;
        state.opened.insert(number, Arc::new(opened));
        Ok(number)
    }

    /// From now on it serves, in this process and after the next start; false when it does not exist. Blocks.
    pub(super) fn switch(&self, number: u32) -> Result<bool, String> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !state.opened.contains_key(&number) {
            return Ok(false);
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.directory).map_err(text)?;
        file.write_all(number.to_string().as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(text)?;
        file.persist(self.directory.join(ACTIVE)).map_err(text)?;
        state.active = number;
        Ok(true)
    }

    /// Removes a generation; false when it serves. What a call still reads is removed at the next start. Blocks.
    pub(super) fn remove(&self, number: u32) -> Result<bool, String> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.active == number {
            return Ok(false);
        }
        if let Some(opened) = state.opened.remove(&number).and_then(Arc::into_inner) {
            drop(opened);
            fs::remove_dir_all(folder(&self.directory, number)).map_err(text)?;
        }
        Ok(true)
    }
}

fn folder(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("generation-{number}"))
}

fn open_generation(directory: &Path, number: u32, dimension: usize) -> Result<Opened, String> {
    let open =
        |collection: Collection| Ok((collection, RwLock::new(open_shard(&folder(directory, number).join(collection.name()), dimension)?)));
    Ok(Opened { by_collection: Collection::ALL.into_iter().map(open).collect::<Result<_, String>>()? })
}

/// Removes what a rebuild that did not finish left behind. Nobody else is in here: the directory is locked.
fn remove_others(directory: &Path, active: u32) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() && path != folder(directory, active) {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// Takes the directory for this process, or says who cannot have it.
fn lock(directory: &Path) -> Result<File, NoShard> {
    let refused = |error: std::io::Error| (format!("{} cannot be used: {error}", directory.display()), None);
    fs::create_dir_all(directory).map_err(refused)?;
    let lock = File::options().create(true).truncate(false).write(true).open(directory.join(LOCK)).map_err(refused)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err((format!("another process holds {}; this one compares every vector", directory.display()), None))
        }
        Err(error) => Err(refused(error.into())),
    }
}

/// Opens a shard; one that is not usable any more is made anew.
fn open_shard(directory: &Path, dimension: usize) -> Result<EdgeShard, String> {
    if directory.join(CONFIG).exists() && log_bytes(directory) <= LOG_BYTES_MAX {
        match guarded(|| EdgeShard::load(directory, Some(config(dimension)))) {
            Ok(shard) => return index_fields(&shard).map(|()| shard),
            Err(reason) => {
                tracing::warn!(directory = %directory.display(), reason, "shard thrown away, to be filled again from PostgreSQL");
            }
        }
    }
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(text)?;
    }
    fs::create_dir_all(directory).map_err(text)?;
    let shard = guarded(|| EdgeShard::new(directory, config(dimension)))?;
    index_fields(&shard)?;
    Ok(shard)
}

/// Indexes every field that a filter may name; one that is indexed stays as it is. Without them a filter reads the payload of each point.
fn index_fields(shard: &EdgeShard) -> Result<(), String> {
    for field in std::iter::once(TENANT).chain(FIELDS) {
        let sort = if field == SUCCESS { PayloadSchemaType::Bool } else { PayloadSchemaType::Keyword };
        let index = CreateIndex { field_name: path(field), field_schema: Some(PayloadFieldSchema::FieldType(sort)) };
        guarded(|| shard.update(UpdateOperation::FieldIndexOperation(FieldIndexOperations::CreateIndex(index))))?;
    }
    Ok(())
}

fn config(dimension: usize) -> EdgeConfig {
    let log = WalOptions { segment_capacity: LOG_PIECE_BYTES, ..WalOptions::default() };
    let vector = EdgeVectorParamsBuilder::new(dimension, Distance::Cosine).build();
    EdgeConfigBuilder::new().vector(DEFAULT_VECTOR_NAME, vector).wal_options(log).build()
}

fn log_bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory.join("wal")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// The engine panics on some damaged files.
fn guarded<T, E: std::fmt::Display>(call: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(done) => done.map_err(text),
        Err(_) => Err("the engine panicked on it".to_owned()),
    }
}
