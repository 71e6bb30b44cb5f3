//! Python environments: built once from a hashed lock, never half, and usable in the sandbox.

use std::path::{Path, PathBuf};

use specwave::exec::environment::{EnvironmentError, Installer};
use specwave::exec::{self, Command, Recorder};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Makes a wheel by hand, so that no package index is needed, and prints its hash.
const WHEEL: &str = r"
import base64, hashlib, sys, zipfile
files = {
    'tiny.py': 'print(\'tiny runs\')\n',
    'tiny-1.0.dist-info/METADATA': 'Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n',
    'tiny-1.0.dist-info/WHEEL': 'Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
}
record = ''
for name, text in files.items():
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()
    record += f'{name},sha256={digest},{len(text)}\n'
files['tiny-1.0.dist-info/RECORD'] = record + 'tiny-1.0.dist-info/RECORD,,\n'
path = sys.argv[1] + '/tiny-1.0-py3-none-any.whl'
with zipfile.ZipFile(path, 'w') as wheel:
    for name, text in files.items():
        wheel.writestr(name, text)
print(hashlib.sha256(open(path, 'rb').read()).hexdigest())
";

fn installer(data: &Path, wheels: &Path) -> Installer {
    let mut installer = Installer::new(data);
    installer.supervisor = Some(PathBuf::from(env!("CARGO_BIN_EXE_specwave")));
    installer.env.insert("PIP_NO_INDEX".into(), "1".into());
    installer.env.insert("PIP_FIND_LINKS".into(), wheels.to_string_lossy().into_owned());
    installer
}

#[tokio::test]
async fn an_environment_is_built_once_and_runs_confined() {
    let (data, wheels) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let made = std::process::Command::new("python3").args(["-c", WHEEL]).arg(wheels.path()).output().unwrap();
    let hash = String::from_utf8(made.stdout).unwrap();
    let lock = format!("tiny==1.0 --hash=sha256:{}\n", hash.trim());
    let (installer, cancel) = (installer(data.path(), wheels.path()), CancellationToken::new());

    let nowhere = Recorder::nowhere();
    let prepare = || installer.prepare("pack", &lock, &nowhere, &cancel);
    let (one, other) = tokio::join!(prepare(), prepare());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.dir.clone(), one.built != other.built), (other.dir, true), "two at once build it once");

    let project = TempDir::new().unwrap();
    let mut command = Command::new([one.python.to_string_lossy().into_owned(), "-m".into(), "tiny".into()], project.path());
    command.readable.clone_from(&one.readable);
    command.supervisor.clone_from(&installer.supervisor);
    assert_eq!(exec::run(&command, &Recorder::nowhere(), &cancel).await.unwrap().stdout.text(), "tiny runs\n");

    let mut offline = installer.clone();
    offline.offline = true;
    assert!(!offline.prepare("pack", &lock, &Recorder::nowhere(), &cancel).await.unwrap().built);
    let wrong = lock.replace(&hash[..8], "00000000");
    assert!(matches!(offline.prepare("pack", &wrong, &Recorder::nowhere(), &cancel).await, Err(EnvironmentError::Offline { .. })));
    let error = installer.prepare("pack", &wrong, &Recorder::nowhere(), &cancel).await.unwrap_err();
    assert!(matches!(error, EnvironmentError::Failed { step: "install", .. }) && !error.to_string().contains('\n'), "{error}");
    let again = installer.prepare("pack", &wrong, &Recorder::nowhere(), &cancel).await.unwrap_err();
    assert!(matches!(again, EnvironmentError::Failed { .. }), "what is half-built is never used: {again}");
}

#[tokio::test]
async fn an_interpreter_that_will_not_do_is_named() {
    let data = TempDir::new().unwrap();
    let mut installer = installer(data.path(), data.path());
    installer.version_min = (99, 0);
    let error = installer.prepare("pack", "", &Recorder::nowhere(), &CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().ends_with("but 99.0 or later is needed"), "{error}");
    installer.python = PathBuf::from("no-such-python");
    let error = installer.prepare("pack", "", &Recorder::nowhere(), &CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot run no-such-python: "), "{error}");
}
