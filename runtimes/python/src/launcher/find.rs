//! Where a libpython may be: what was set, the `python3` on the path, the system's libraries.

use std::{
    env,
    fmt::Write as _,
    fs::File,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{self, Path, PathBuf},
};

use contract::env::{FUNC_PYTHON, Variables as _};
use host::Environment;

use super::interpreter;

/// The minor versions whose libraries are tried by name, the newest first.
const MINORS: std::ops::RangeInclusive<u32> = 10..=15;

/// Something that may lead to Python.
pub(crate) enum Candidate {
    /// A library to be opened, and the executable whose settings it should take over.
    Library { path: PathBuf, program: Option<PathBuf> },
    /// A dead end, for the report.
    Unusable { what: String, reason: String },
}

impl Candidate {
    fn unusable(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Unusable { what: what.into(), reason: reason.into() }
    }
}

/// What has been tried in vain.
#[derive(Default)]
pub(crate) struct Attempts(String);

impl Attempts {
    pub(crate) fn failed(&mut self, what: impl AsRef<str>, reason: impl AsRef<str>) {
        let _ = write!(self.0, "\n  {}: {}", what.as_ref(), reason.as_ref().trim());
    }

    pub(crate) fn into_message(self) -> String {
        format!(
            "no usable Python was found. Install Python 3.10 or later with its shared library (Debian: libpython3.x), \
             or say where one is with {}. Tried:{}",
            FUNC_PYTHON.name, self.0
        )
    }
}

/// All candidates, best first. What is set explicitly is the only one: a host that silently ran on another Python
/// would be worse than one that does not start.
pub(crate) fn python() -> Result<Vec<Candidate>, String> {
    let set = Environment.get(FUNC_PYTHON.name).map_err(|value| {
        format!("{} has the value \"{}\", which is not UTF-8 text", FUNC_PYTHON.name, value.escape_debug())
    })?;
    if let Some(set) = set.filter(|set| !set.is_empty()) {
        return Ok(explicit(Path::new(&set)));
    }
    let mut candidates = match on_path("python3") {
        Some(program) => by_executable(&program),
        None => vec![Candidate::unusable("python3", "not on PATH")],
    };
    candidates.extend(MINORS.rev().map(|minor| Candidate::Library {
        path: format!("libpython3.{minor}.so.1.0").into(),
        program: on_path(&format!("python3.{minor}")),
    }));
    Ok(candidates)
}

fn explicit(set: &Path) -> Vec<Candidate> {
    let name = set.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.contains(".so") {
        return vec![Candidate::Library { path: set.to_owned(), program: beside(set, &name) }];
    }
    let program = if set.components().count() > 1 { Some(set.to_owned()) } else { on_path(&name) };
    match program {
        Some(program) => by_executable(&program),
        None => vec![Candidate::unusable(name, format!("not on PATH ({} names it)", FUNC_PYTHON.name))],
    }
}

/// The executable that belongs to `<prefix>/lib/libpython3.x.so.1.0`.
fn beside(library: &Path, name: &str) -> Option<PathBuf> {
    let version = name.strip_prefix("libpython")?.split(".so").next()?;
    let prefix = library.parent()?.parent()?;
    Some(prefix.join("bin").join(format!("python{version}"))).filter(|program| is_executable(program))
}

fn by_executable(program: &Path) -> Vec<Candidate> {
    if let (Some(path), Ok(program)) = (installed(program), path::absolute(program)) {
        return vec![Candidate::Library { path, program: Some(program) }];
    }
    match interpreter::ask(program) {
        Ok(answer) => answer
            .libraries()
            .into_iter()
            .map(|path| Candidate::Library { path, program: Some(answer.executable.clone()) })
            .collect(),
        Err(reason) => vec![Candidate::unusable(program.display().to_string(), reason)],
    }
}

/// The library of a `python3.x` that is installed as usual, found by looking: asking takes as long as Python needs to
/// start, in the host and in each of its workers. Scripts, other names and what is ambiguous are left to asking.
fn installed(program: &Path) -> Option<PathBuf> {
    let real = program.canonicalize().ok()?;
    let version = real.file_name()?.to_str()?.strip_prefix("python")?;
    let minor = version.strip_prefix("3.")?;
    let mut start = [0; 4];
    File::open(&real).and_then(|mut file| file.read_exact(&mut start)).ok()?;
    if minor.parse::<u32>().is_err() || start != *b"\x7fELF" {
        return None;
    }
    let folder = real.parent().filter(|folder| folder.ends_with("bin"))?;
    let multiarch = format!("lib/{}-linux-gnu", env::consts::ARCH);
    let mut found = ["lib", "lib64", &multiarch].into_iter().filter_map(|place| {
        let path = folder.parent()?.join(place).join(format!("libpython{version}.so.1.0"));
        path.canonicalize().is_ok_and(|real| real.is_file()).then_some(path)
    });
    let first = found.next()?;
    let same = |other: PathBuf| other.canonicalize().ok() == first.canonicalize().ok();
    found.all(same).then_some(first)
}

#[expect(clippy::disallowed_methods, reason = "the search path of the system, not a setting of the host")]
fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|program| is_executable(program))
}

fn is_executable(program: &Path) -> bool {
    program.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
