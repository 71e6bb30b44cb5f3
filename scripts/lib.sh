# Shared by the scripts beside it; sourced, never run. Needs bash.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# One target directory for every checkout of the user, so that a second clone does not compile everything again.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/specwave/target}"
SPECWAVE="$CARGO_TARGET_DIR/debug/specwave"

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
fail() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf '  hint: %s\n' "$2" >&2
    exit 1
}

# Where specwave keeps everything; the same rule as in src/config/layers.rs.
data_dir() {
    if [ -n "${SPECWAVE_DATA_DIR:-}" ]; then
        printf '%s\n' "$SPECWAVE_DATA_DIR"
    elif [ "$(id -u)" = 0 ]; then
        printf '/var/lib/specwave\n'
    else
        printf '%s\n' "${XDG_DATA_HOME:-$HOME/.local/share}/specwave"
    fi
}

# install PACKAGE...: Debian packages where we may, otherwise one clear line.
install() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Installing $* (Debian packages)"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null; } ||
            fail "apt-get could not install $*" "install them by hand and run this again"
    else
        fail "$* missing" "install with your system's package manager (on Debian: sudo apt-get install $*) and run this again"
    fi
}

# What both scripts need before anything else: a linker, a Rust toolchain, a Python with venv.
need_toolchains() {
    command -v cc >/dev/null || install build-essential
    command -v cargo >/dev/null || fail "no Rust toolchain found" "install one (rustup, or your system's rustc and cargo, 1.95 or newer) and run this again"
    command -v python3 >/dev/null || install python3 python3-venv
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "python3 is older than 3.11" "set SPECWAVE_PYTHON to a newer one"
    python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
}

# What a first call puts on the machine, said before it is done.
announce() {
    say "This installs nothing outside these two directories (and Debian packages only where a tool is missing and we are root):"
    say "  $CARGO_TARGET_DIR  (compiled code)"
    say "  $(data_dir)  (PostgreSQL, embedder, Python environments, runs)"
}
