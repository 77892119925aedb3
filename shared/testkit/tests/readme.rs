//! The README says what is so: its tables come from the sources, and its metrics are those of a running host.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use testkit::{Launch, Mount};

fn readme() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")
}

fn docs(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_docs")).args(arguments).output().expect("the docs program starts")
}

#[test]
fn its_tables_are_up_to_date() {
    let checked = docs(&[Path::new("--check"), &readme()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn a_table_that_is_out_of_date_is_noticed_and_mended() {
    let text = fs::read_to_string(readme()).unwrap();
    let mount = Mount::with("stale.md", &text.replace("| `180` |", "| `60` |"));
    let stale = mount.path().join("stale.md");
    let checked = docs(&[Path::new("--check"), &stale]);
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(!checked.status.success() && said.contains("run `make docs`\n- | `FUNC_TIMEOUT`"), "{said}");
    assert!(docs(&[&stale]).status.success());
    assert_eq!(fs::read_to_string(&stale).unwrap(), text);
}

#[test]
fn a_document_without_its_markers_is_an_error() {
    let mount = Mount::with("bare.md", "# Nothing here\n");
    let refused = docs(&[&mount.path().join("bare.md")]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("the marker <!-- docs: variables --> is missing"),
        "{said}"
    );
}

/// What stands between backticks and is called like a metric of ours, without its labels.
fn metrics_named_in(text: &str) -> BTreeSet<&str> {
    let ours = |name: &&str| name.starts_with("function_") || name.starts_with("funchost_");
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(ours)
        .map(|name| name.split('{').next().unwrap_or(name))
        .collect()
}

#[test]
fn it_names_every_metric_of_a_host_and_no_other() {
    let host = Launch::new(env!("CARGO_BIN_EXE_fake-host"))
        .env("MOD_NAME", "fake")
        .env("FUNC_HANDLER", "handler")
        .start();
    let client = host.client();
    assert_eq!(client.get("/fail").status, 500);
    let text = client.get("/metrics").text();
    let exported: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|name| !name.starts_with("process_"))
        .collect();
    let readme = fs::read_to_string(readme()).unwrap();
    assert_eq!(metrics_named_in(&readme), exported);
}
