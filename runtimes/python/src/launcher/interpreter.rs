//! Asking a Python executable where its library is.
//!
//! An executable on the path may be a link, a shell script (pyenv), or the python of a virtual environment; only it
//! knows. It is asked without its site packages, which takes about as long as Python needs to start.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Prints one fact per line. `sysconfig` knows how the executable was built, not whether a library is there.
const QUESTION: &str = "\
import sys, sysconfig
facts = [sys.implementation.name, '%d.%d' % sys.version_info[:2], sys.executable, sys.base_prefix]
facts += [sysconfig.get_config_var(name) for name in ('LIBDIR', 'MULTIARCH', 'INSTSONAME')]
print('\\n'.join(str(fact or '') for fact in facts))
";

/// What an executable says about itself.
pub(super) struct Answer {
    /// The executable that finally ran; of a virtual environment, that environment's own.
    pub(super) executable: PathBuf,
    version: String,
    base_prefix: PathBuf,
    library_folder: String,
    multiarch: String,
    library: String,
}

/// Runs `program`.
pub(super) fn ask(program: &Path) -> Result<Answer, String> {
    let output = Command::new(program)
        .args(["-I", "-S", "-c", QUESTION])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it says nothing");
        return Err(format!("does not answer like a Python 3 ({}): {last}", output.status));
    }
    let text = String::from_utf8(output.stdout).map_err(|_| "its answer is not UTF-8 text".to_owned())?;
    let mut facts = text.lines().map(str::to_owned);
    let mut fact = || facts.next().unwrap_or_default();
    let implementation = fact();
    if implementation != "cpython" {
        return Err(format!("it is {implementation:?}; allowed: cpython"));
    }
    Ok(Answer {
        version: fact(),
        executable: fact().into(),
        base_prefix: fact().into(),
        library_folder: fact(),
        multiarch: fact(),
        library: fact(),
    })
}

impl Answer {
    /// Where the library may be, likeliest first. A program that was built without it may have it installed
    /// nevertheless, as in Debian and in Conda.
    pub(super) fn libraries(&self) -> Vec<PathBuf> {
        let usual = format!("libpython{}.so.1.0", self.version);
        let mut names = vec![self.library.as_str()];
        names.retain(|name| name.contains(".so"));
        if !names.contains(&usual.as_str()) {
            names.push(&usual);
        }
        let folders = [
            PathBuf::from(&self.library_folder),
            Path::new(&self.library_folder).join(&self.multiarch),
            self.base_prefix.join("lib"),
        ];
        let mut paths: Vec<PathBuf> = Vec::new();
        for name in names {
            let here = folders.iter().map(|folder| folder.join(name)).filter(|path| path.is_file());
            // Without a folder: wherever the system's loader looks.
            for path in here.chain([PathBuf::from(name)]) {
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
        paths
    }
}
