//! Serves one example in the foreground, to be called by hand: `serve-example PROGRAM FOLDER`
//!
//! The folder is a copy of the example's: what the example installs goes there. The program takes this process's
//! place, so signals and exit status are its own. Variables that are set already are left as they are.

use std::{
    env, io,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{self, Path},
    process::{Command, ExitCode},
};

use testkit::{Launch, examples::Example};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [program, folder] = &arguments[..] else {
        let _ = writeln!(io::stderr(), "usage: serve-example PROGRAM FOLDER");
        return ExitCode::from(64);
    };
    let Err(error) = serve(Path::new(program), Path::new(folder));
    let _ = writeln!(io::stderr(), "serve-example: {error}");
    ExitCode::FAILURE
}

/// What says which function is served: always the example's own.
const FUNCTION: [&str; 3] = ["MOD_ROOT_PATH", "MOD_NAME", "FUNC_HANDLER"];

fn serve(program: &Path, folder: &Path) -> io::Result<std::convert::Infallible> {
    let folder = path::absolute(folder)?;
    let launch = Example::load(&folder)?.prepare(&folder, &Launch::new(program).inherit("FUNC_PYTHON"))?;
    #[expect(clippy::disallowed_methods, reason = "asks what the user has set, not what it says")]
    let free = |name: &std::ffi::OsStr| {
        FUNCTION.iter().any(|function| name == *function) || env::var_os(name).is_none()
    };
    let variables = launch.variables().filter(|(name, _)| free(name));
    let error = Command::new(program).envs(variables).exec();
    Err(io::Error::other(format!("cannot start {}: {error}", program.display())))
}
