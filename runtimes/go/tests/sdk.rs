//! The Go side by itself: its own tests compare it with net/http.

use std::{path::Path, process::Command};

fn go(arguments: &[&str]) {
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
    let output = Command::new("go").args(arguments).current_dir(sdk).output().expect("a Go toolchain");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    if arguments[0] == "run" {
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn its_tests_pass() {
    go(&["test", "./..."]);
}

#[test]
fn it_is_vetted() {
    go(&["vet", "./..."]);
}
