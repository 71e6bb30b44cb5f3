//! Finds the model and ONNX Runtime's library and checks them before the first use: a missing or old library makes the
//! runtime's loader panic or hang, so it is never tried with one.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

/// The oldest ONNX Runtime 1.x whose C API suffices.
pub const LIBRARY_MINOR_MIN: u32 = 24;
const MANIFEST: &str = "manifest.json";
const MODEL_FILES: [&str; 5] = ["model.onnx", "tokenizer.json", "config.json", "special_tokens_map.json", "tokenizer_config.json"];
const ELF_HEADER_BYTES: usize = 20;

/// The checked files of a neural embedder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// ONNX Runtime's library, absolute.
    pub library: PathBuf,
    /// Its version, for example `1.31.1`.
    pub library_version: String,
    /// The directory with `model.onnx` and the tokenizer's files.
    pub model_directory: PathBuf,
    /// Tokens after which a text is cut.
    pub tokens_max: usize,
}

/// Why there is no neural embedder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// Built without it.
    #[error("specwave was built without the feature `fastembed`")]
    Feature,
    /// A file is not there or cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file is there but is not what it should be.
    #[error("{} is not usable: {reason}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The library is too old.
    #[error("{} is ONNX Runtime {found}, at least 1.{LIBRARY_MINOR_MIN} is needed", path.display())]
    Old {
        /// The library.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// Everything is there, but the runtime does not load it.
    #[error("the model {model} does not load: {reason}")]
    Load {
        /// The model.
        model: &'static str,
        /// What the runtime said.
        reason: String,
    },
    /// Everything is there, but loading does not end.
    #[error("the model {model} did not load within {} s", within.as_secs())]
    Slow {
        /// The model.
        model: &'static str,
        /// How long was waited.
        within: Duration,
    },
}

impl Missing {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Feature => "build with `--features fastembed`".to_owned(),
            Self::Old { .. } => {
                "run `scripts/prepare-embedder`, or point ORT_DYLIB_PATH at a newer library whose name carries its version".to_owned()
            }
            _ => "run `scripts/prepare-embedder`".to_owned(),
        }
    }
}

/// What `scripts/prepare-embedder` wrote about its files.
#[derive(Debug, Deserialize)]
struct Manifest {
    library: String,
    library_version: String,
    model: String,
    tokens_max: usize,
}

impl Files {
    /// Finds and checks the files below `directory`; `library` takes the place of the installed library.
    /// Reads some bytes of each, never a whole model.
    pub fn locate(directory: &Path, library: Option<&Path>) -> Result<Self, Missing> {
        let path = directory.join(MANIFEST);
        let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        let manifest: Manifest = serde_json::from_str(&text).map_err(|error| unusable(&path, error.to_string()))?;
        if [&manifest.model, &manifest.library].iter().any(|name| name.contains(['/', '\\'])) {
            return Err(unusable(&path, "it names a file outside its directory".to_owned()));
        }
        let (library, library_version) = match library {
            Some(library) => (library.to_owned(), version_in_name(library)?),
            None => (directory.join(&manifest.library), manifest.library_version),
        };
        check_version(&library, &library_version)?;
        check_library(&library)?;
        let model_directory = directory.join(&manifest.model);
        for name in MODEL_FILES {
            let file = model_directory.join(name);
            let size = fs::metadata(&file).map_err(|error| unreadable(&file, &error))?.len();
            if size == 0 {
                return Err(unusable(&file, "it is empty".to_owned()));
            }
        }
        let library = std::path::absolute(&library).map_err(|error| unreadable(&library, &error))?;
        Ok(Self { library, library_version, model_directory, tokens_max: manifest.tokens_max })
    }

    /// The bytes of a file of the model.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, Missing> {
        let path = self.model_directory.join(name);
        fs::read(&path).map_err(|error| unreadable(&path, &error))
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Missing {
    Missing::File { path: path.to_owned(), reason: error.to_string() }
}

fn unusable(path: &Path, reason: String) -> Missing {
    Missing::Unusable { path: path.to_owned(), reason }
}

/// The version in a name such as `libonnxruntime.so.1.31.1`, links followed.
fn version_in_name(library: &Path) -> Result<String, Missing> {
    let real = fs::canonicalize(library).map_err(|error| unreadable(library, &error))?;
    let name = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match name.split_once(".so.") {
        Some((_, version)) => Ok(version.to_owned()),
        None => Err(unusable(library, format!("its version is unknown, {name} does not carry it"))),
    }
}

fn check_version(library: &Path, version: &str) -> Result<(), Missing> {
    let mut parts = version.split('.').map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(1)), Some(Ok(minor))) if minor >= LIBRARY_MINOR_MIN => Ok(()),
        (Some(Ok(_)), Some(Ok(_))) => Err(Missing::Old { path: library.to_owned(), found: version.to_owned() }),
        _ => Err(unusable(library, format!("`{version}` is not a version"))),
    }
}

/// A shared library for this kind of machine, by the first bytes of the file (System V ABI, ELF header).
fn check_library(library: &Path) -> Result<(), Missing> {
    let mut header = [0_u8; ELF_HEADER_BYTES];
    File::open(library).and_then(|mut file| file.read_exact(&mut header)).map_err(|error| unreadable(library, &error))?;
    let machine: &[u8] = match std::env::consts::ARCH {
        "x86_64" => &[62, 0],
        "aarch64" => &[183, 0],
        other => return Err(unusable(library, format!("machines of kind {other} are not supported"))),
    };
    if header.starts_with(b"\x7fELF") && header[18..20] == *machine {
        Ok(())
    } else {
        Err(unusable(library, format!("it is not a shared library for {}", std::env::consts::ARCH)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes an installation whose parts look right, lets `spoil` damage it, and returns what `locate` says.
    fn check(spoil: impl FnOnce(&Path)) -> Result<Files, Missing> {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let mut elf = b"\x7fELF".to_vec();
        elf.resize(ELF_HEADER_BYTES, 0);
        elf[18] = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
        fs::write(root.join("libonnxruntime.so.1.31.1"), elf).unwrap();
        fs::create_dir(root.join("m")).unwrap();
        for name in MODEL_FILES {
            fs::write(root.join("m").join(name), "{}").unwrap();
        }
        manifest(root, "1.31.1");
        spoil(root);
        Files::locate(root, None)
    }

    fn manifest(root: &Path, version: &str) {
        let text = format!(
            r#"{{"library": "libonnxruntime.so.1.31.1", "library_version": "{version}", "model": "m", "dimension": 3, "tokens_max": 256}}"#
        );
        fs::write(root.join(MANIFEST), text).unwrap();
    }

    #[test]
    fn a_whole_installation_is_found() {
        let files = check(|_| {}).unwrap();
        assert_eq!((files.library_version.as_str(), files.tokens_max), ("1.31.1", 256));
    }

    #[test]
    fn every_damage_is_named() {
        assert!(matches!(check(|root| fs::remove_file(root.join(MANIFEST)).unwrap()), Err(Missing::File { .. })));
        assert!(matches!(check(|root| fs::write(root.join(MANIFEST), "{").unwrap()), Err(Missing::Unusable { .. })));
        assert!(matches!(check(|root| manifest(root, "1.17.3")), Err(Missing::Old { .. })));
        assert!(matches!(check(|root| manifest(root, "new")), Err(Missing::Unusable { .. })));
        assert!(matches!(check(|root| fs::write(root.join("m/model.onnx"), "").unwrap()), Err(Missing::Unusable { .. })));
        assert!(matches!(check(|root| fs::remove_file(root.join("m/config.json")).unwrap()), Err(Missing::File { .. })));
        let text = "x".repeat(100);
        assert!(matches!(check(|root| fs::write(root.join("libonnxruntime.so.1.31.1"), text).unwrap()), Err(Missing::Unusable { .. })));
    }

    #[test]
    fn a_library_of_ones_own_must_carry_its_version() {
        let directory = tempfile::tempdir().unwrap();
        let library = directory.path().join("libonnxruntime.so");
        fs::write(&library, "").unwrap();
        assert!(matches!(version_in_name(&library), Err(Missing::Unusable { .. })));
        let library = directory.path().join("libonnxruntime.so.1.24.0");
        fs::write(&library, "").unwrap();
        assert_eq!(version_in_name(&library), Ok("1.24.0".to_owned()));
    }
}
