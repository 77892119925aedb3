//! Rules of the house that the compiler does not know; `shared/README.md` gives their reasons.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All files with this suffix below `folder`.
fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.expect("an entry of a folder").path()) {
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            found.extend(files(&path, suffix));
        } else if path.to_string_lossy().ends_with(suffix) {
            found.push(path);
        }
    }
    found
}

/// Lines of code for which `breaks` holds, as `file:line: text`. Comments are prose and may name anything.
fn offences(files: &[PathBuf], breaks: impl Fn(&str) -> bool) -> Vec<String> {
    let mut offences = Vec::new();
    for file in files {
        for (number, line) in fs::read_to_string(file).expect("a source file").lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if breaks(code) {
                offences.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    offences
}

fn sources(folders: &[&str]) -> Vec<PathBuf> {
    let found: Vec<_> = folders.iter().flat_map(|folder| files(&root().join(folder), ".rs")).collect();
    assert!(!found.is_empty(), "no sources in {folders:?}");
    found
}

#[test]
fn the_visible_top_level_is_as_designed() {
    const DESIGNED: [&str; 13] = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "Makefile",
        "README.md",
        "conformance",
        "examples",
        "images",
        "runtimes",
        "rust-toolchain.toml",
        "shared",
        "target",
        "third_party",
    ];
    let names = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let strangers: Vec<String> =
        names.filter(|name| !name.starts_with('.') && !DESIGNED.contains(&name.as_str())).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn unsafe_code_is_in_ffi_files_only() {
    let mut files = sources(&["shared", "runtimes"]);
    files.retain(|file| file.file_name().is_some_and(|name| name != "ffi.rs" && name != "house.rs"));
    let forms = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "#[unsafe("];
    let found = offences(&files, |code| forms.iter().any(|form| code.contains(form)));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_server_names_no_language() {
    let languages = ["python", "javascript", "nodejs", "node.js", "golang"];
    let files = sources(&["shared/host/src"]);
    let found = offences(&files, |code| languages.iter().any(|word| code.to_lowercase().contains(word)));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_contract_does_no_input_or_output() {
    let modules = ["std::fs", "std::net::Tcp", "std::process", "std::thread", "std::io", "tokio"];
    let found =
        offences(&sources(&["shared/contract/src"]), |code| modules.iter().any(|name| code.contains(name)));
    assert!(found.is_empty(), "{found:#?}");
}

/// A status that stands for an error is chosen in one place of the server, and metrics are named in another.
#[test]
fn runtimes_choose_no_status_and_name_no_metric() {
    let mut files = files(&root().join("runtimes"), ".rs");
    files.retain(|file| file.components().any(|part| part.as_os_str() == "src"));
    let words = ["StatusCode::", "prometheus", "_total\"", "_seconds\""];
    let found = offences(&files, |code| words.iter().any(|word| code.contains(word)));
    assert!(found.is_empty(), "{found:#?}");
}
