//! Where the tools are.

use std::path::{Path, PathBuf};

/// The tools that were found or named. One that is not there is none.
#[derive(Debug, Clone, Default)]
pub struct Tools {
    /// The program `ruff`.
    pub ruff: Option<PathBuf>,
    /// The project's own program `eslint`.
    pub eslint: Option<PathBuf>,
    /// The project's own program `prettier`.
    pub prettier: Option<PathBuf>,
    /// The program `cargo`. Clippy compiles what it judges, so it runs only when it is named.
    pub cargo: Option<PathBuf>,
    /// What confined tools must be able to read beside the project.
    pub readable: Vec<PathBuf>,
    /// True when they may run where they cannot be confined as they need.
    pub weaker_sandbox: bool,
    /// The binary that supervises them; none is this very program.
    pub supervisor: Option<PathBuf>,
}

/// Where a system keeps programs that every user may run.
const SYSTEM: &[&str] = &["/usr/local/bin", "/usr/bin"];

impl Tools {
    /// Looks for tools in the project, in the environments that this program made below its data directory, and on the system.
    pub fn find(root: &Path, data_dir: &Path) -> Self {
        let environments = std::fs::read_dir(data_dir.join("environments")).into_iter().flatten();
        let mut environments: Vec<PathBuf> = environments.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
        environments.sort();
        let own = [root.join(".venv/bin"), root.join("venv/bin")];
        let places = own.into_iter().chain(environments).chain(SYSTEM.iter().map(PathBuf::from));
        let ruff = places.map(|place| place.join("ruff")).find(|program| program.is_file());
        let package = |name: &str| Some(root.join("node_modules/.bin").join(name)).filter(|program| program.is_file());
        let mut tools = Self { eslint: package("eslint"), prettier: package("prettier"), ..Self::default() };
        if let Some(ruff) = ruff {
            tools.take_ruff(ruff);
        }
        tools
    }

    /// Takes that `ruff`, with what it needs to run: the environment that it is installed in.
    pub fn take_ruff(&mut self, program: PathBuf) {
        let program = std::path::absolute(&program).unwrap_or(program);
        self.readable.extend(program.parent().map(Path::to_owned));
        self.readable.extend(std::fs::canonicalize(&program).ok());
        self.ruff = Some(program);
    }

    /// Takes that `cargo`, with the toolchain and the registry that it needs.
    pub fn take_cargo(&mut self, program: PathBuf, homes: impl IntoIterator<Item = PathBuf>) {
        self.readable.extend(program.parent().map(Path::to_owned));
        self.readable.extend(homes);
        self.cargo = Some(program);
    }
}
