//! `funchost-go build`: the function's sources in, `function.so` out.
//!
//! The sources are copied to a scratch folder, where the SDK and a generated package main join them as packages of the
//! function's own module; so the function's `go.mod`, its versions and its vendor folder count as they are, and the
//! mount gets nothing but the result.

mod error;
mod handler;
mod stage;
mod toolchain;

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use contract::env::{self, Settings};
use host::{Environment, Exit};

use self::{error::BuildError, stage::Stage, toolchain::Toolchain};
use crate::engine::PLUGIN;

/// The argument that asks for it.
pub(crate) const COMMAND: &str = "build";

const HELP: &str = "\
funchost-go build: compiles a Go function into function.so, which funchost-go serves.

Usage: funchost-go build

The sources are the folder KUBELESS_INSTALL_VOLUME (or MOD_ROOT_PATH, /kubeless if neither is set), all of
package kubeless; the handler is KUBELESS_FUNC_NAME (or FUNC_HANDLER). A go.mod and a vendor folder are used
when they are there. It needs a Go toolchain of version 1.24 or newer and a C compiler. What goes wrong is
written to standard error and to FUNC_TERMINATION_LOG. `funchost-go --help` describes all variables.
";

/// Runs the command. `arguments` are those after its name.
pub(crate) fn main(mut arguments: impl Iterator<Item = OsString>) -> Exit {
    let done = match arguments.next().as_ref().map(|argument| argument.to_string_lossy()) {
        None => build(),
        Some(help) if help == "--help" || help == "-h" => Ok(HELP.to_owned()),
        Some(other) => Err(BuildError::Usage(format!(
            "argument \"{}\" is not known; allowed: --help, or none to build",
            other.escape_debug()
        ))),
    };
    match done {
        Ok(text) => {
            // A reader that has gone does not make a built function worse.
            let _ = io::stdout().write_all(text.as_bytes());
            Exit::Done
        }
        Err(error) => {
            host::report_fatal("funchost-go build", &error.to_string());
            error.exit()
        }
    }
}

/// What to build.
struct Order {
    root: PathBuf,
    handler: String,
    /// `GOCACHE` is set: the toolchain's cache is where the deployment wants it.
    cache_is_set: bool,
}

impl Order {
    fn read() -> Result<Self, BuildError> {
        let rows =
            [&env::KUBELESS_INSTALL_VOLUME, &env::KUBELESS_FUNC_NAME, &env::GOCACHE, &env::MOD_ROOT_PATH];
        let settings =
            Settings::read_rows(rows, &Environment).map_err(|mistakes| BuildError::variables(&mistakes))?;
        let root = settings.text(&env::KUBELESS_INSTALL_VOLUME).or(settings.text(&env::MOD_ROOT_PATH));
        let handler = match settings.text(&env::KUBELESS_FUNC_NAME) {
            Some(handler) => handler.to_owned(),
            None => Settings::read_rows([&env::FUNC_HANDLER], &Environment)
                .map_err(|_| {
                    BuildError::Usage("neither KUBELESS_FUNC_NAME nor FUNC_HANDLER names a handler".into())
                })?
                .text(&env::FUNC_HANDLER)
                .unwrap_or_default()
                .to_owned(),
        };
        let cache_is_set = settings.text(&env::GOCACHE).is_some();
        Ok(Self { root: PathBuf::from(root.unwrap_or_default()), handler, cache_is_set })
    }
}

/// Builds, and returns what to tell about it.
fn build() -> Result<String, BuildError> {
    let started = Instant::now();
    let order = Order::read()?;
    handler::check_name(&order.handler)?;
    // Absolute, because the toolchain runs elsewhere.
    let root = fs::canonicalize(&order.root).ok().filter(|root| root.is_dir()).ok_or_else(|| {
        BuildError::Usage(format!("{} (KUBELESS_INSTALL_VOLUME) is not a folder", order.root.display()))
    })?;
    let scratch = scratch(&root)?;
    let toolchain = Toolchain::find(&root, scratch.path(), order.cache_is_set)?;
    let stage = Stage::prepare(&root, scratch.path(), &toolchain)?;
    let package = handler::check_package(&stage, &toolchain, &root)?;
    stage.write_main(&order.handler)?;

    let built = scratch.path().join(PLUGIN);
    let target = root.join(PLUGIN);
    if target.is_file() {
        // Go does not link again what is there already and still true.
        let _ = fs::copy(&target, &built);
    }
    let said = toolchain.build(&stage, &built).map_err(|report| {
        if stage.blames_main(&report) {
            handler::explain(&order.handler, &package, &stage, &toolchain)
                .unwrap_or(BuildError::Compiler(report))
        } else {
            BuildError::Compiler(report)
        }
    })?;
    // What the toolchain tells beside its work: modules that it fetched.
    let _ = io::stderr().write_all(said.as_bytes());
    install(&built, &target).map_err(|error| BuildError::io("write", &target, &error))?;
    Ok(format!(
        "funchost-go build: {} with handler {} built by {} in {:.1} s\n",
        target.display(),
        order.handler,
        toolchain.version,
        started.elapsed().as_secs_f64()
    ))
}

/// In the customary place, or in the mount where a container has no other place to write to.
fn scratch(root: &Path) -> Result<tempfile::TempDir, BuildError> {
    let mut name = tempfile::Builder::new();
    name.prefix(".funchost-build-");
    name.tempdir()
        .or_else(|_| name.tempdir_in(root))
        .map_err(|error| BuildError::io("make a folder in", root, &error))
}

/// Puts the finished library in place in one step: a host that starts meanwhile finds the old one or the new one.
fn install(built: &Path, target: &Path) -> io::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let mut whole = tempfile::Builder::new().prefix(".function-").tempfile_in(folder)?;
    io::copy(&mut fs::File::open(built)?, whole.as_file_mut())?;
    // The function may run as another user than the one that builds it.
    fs::set_permissions(whole.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    whole.as_file().sync_all()?;
    whole.persist(target)?;
    Ok(())
}
