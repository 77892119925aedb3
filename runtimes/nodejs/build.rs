//! Names this build, so that a startup snapshot of another one is recognised: V8 ends the process when it is given one.

use std::{
    collections::hash_map::DefaultHasher,
    env, fs,
    hash::{Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

/// All that decides what is in a snapshot: the versions of V8 and of Deno's crates, what stands in the place of some, our own
/// native functions and their order, and the scripts beside them.
const INPUTS: [&str; 5] =
    ["../../Cargo.lock", "../../rust-toolchain.toml", "../../third_party/deno", "src", "sdk"];

fn main() -> io::Result<()> {
    let mut hasher = DefaultHasher::new();
    for input in INPUTS {
        println!("cargo::rerun-if-changed={input}");
        for file in files(Path::new(input))? {
            file.hash(&mut hasher);
            fs::read(&file)?.hash(&mut hasher);
        }
    }
    #[expect(clippy::disallowed_methods, reason = "this is how Cargo tells a build script")]
    let target = env::var("TARGET");
    target.ok().hash(&mut hasher);
    println!("cargo::rustc-env=FUNCHOST_BUILD={:016x}", hasher.finish());
    Ok(())
}

/// The file, or all files below the folder, in an order that is the same everywhere.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries: io::Result<Vec<_>> = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect();
    let mut entries = entries?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        found.extend(files(&entry)?);
    }
    Ok(found)
}
