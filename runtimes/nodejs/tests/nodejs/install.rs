//! The install step: what it tells npm, and what it tells people. A stand-in for npm writes down how it was called;
//! `packages.rs` has the real one install real packages.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use testkit::{Finished, Launch, Mount};

/// Notes its arguments and settings; `npm config set` writes to the file of settings, as npm does.
const NPM: &str = r#"#!/bin/sh
echo "npm $* | HOME=$HOME cwd=$PWD"
case $1 in
  config) shift 2; printf '%s\n' "$@" >>"$npm_config_userconfig" ;;
  install)
    sed 's/^/setting /' "$npm_config_userconfig"
    env | grep -i '^npm_config_extra' && exit 9
    [ ! -e fails ] || exit 7
    ;;
esac
"#;

fn with_npm(volume: Mount) -> Mount {
    let volume = volume.file("bin/npm", NPM);
    fs::set_permissions(volume.path().join("bin/npm"), fs::Permissions::from_mode(0o755))
        .expect("permissions");
    volume
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kubeless-npm-install.sh")
}

fn install(volume: &Mount, variables: &[(&str, &str)]) -> Finished {
    let path = format!("{}:/usr/bin:/bin", volume.path().join("bin").display());
    let launch = Launch::new(script()).env("PATH", path).env("KUBELESS_INSTALL_VOLUME", volume.path());
    variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value)).run()
}

const PACKAGE: &str = r#"{"dependencies": {"lodash": "4"}}"#;

#[test]
fn npm_installs_into_the_volume_without_what_is_for_development() {
    let volume = with_npm(Mount::with("package.json", PACKAGE));
    let finished = install(&volume, &[]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let folder = volume.path().display();
    assert!(finished.stdout.contains("npm install --omit=dev"), "{finished:?}");
    assert!(finished.stdout.contains(&format!("--prefix={folder} | HOME=/tmp cwd={folder}")), "{finished:?}");
    // Nothing was asked for, so npm's own settings stand.
    assert!(!finished.stdout.contains("setting"), "{finished:?}");
}

#[test]
fn registry_scope_and_more_settings_are_handed_to_npm() {
    let volume = with_npm(Mount::with("package.json", PACKAGE));
    let registry = ("NPM_REGISTRY", "http://registry.example.org/");
    let settings = |variables: &[(&str, &str)]| {
        let finished = install(&volume, variables);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let settings = finished.stdout.lines().filter_map(|line| line.strip_prefix("setting "));
        settings.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(settings(&[registry]), ["registry=http://registry.example.org/"]);
    assert_eq!(
        settings(&[registry, ("NPM_SCOPE", "@acme")]),
        ["@acme:registry=http://registry.example.org/"]
    );
    assert_eq!(settings(&[("NPM_SCOPE", "@acme")]), [""; 0]);
    assert_eq!(
        settings(&[("NPM_CONFIG_EXTRA", "strict-ssl=false fetch-retries=0")]),
        ["strict-ssl=false", "fetch-retries=0"]
    );
    // No file is left behind that the next installation would read.
    assert!(!Path::new("/tmp/.npmrc").exists());
}

#[test]
fn an_empty_package_json_is_fine() {
    for volume in [Mount::new(), Mount::with("package.json", ""), Mount::with("package.json", " \n")] {
        let finished = install(&volume, &[]);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(finished.stdout.contains("nothing to install"), "{finished:?}");
        assert!(!volume.path().join("node_modules").exists());
    }
}

#[test]
fn what_is_wrong_is_named() {
    let finished = Launch::new(script()).run();
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("KUBELESS_INSTALL_VOLUME is not set"), "{finished:?}");
    let finished = Launch::new(script()).env("KUBELESS_INSTALL_VOLUME", "/nonexistent").run();
    assert!(
        finished.code == Some(1) && finished.stderr.contains("KUBELESS_INSTALL_VOLUME=/nonexistent"),
        "{finished:?}"
    );
    let volume = with_npm(Mount::with("package.json", PACKAGE).file("fails", ""));
    let finished = install(&volume, &[]);
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("npm could not install what"), "{finished:?}");
    let bare = Mount::with("package.json", PACKAGE);
    let tools = bare.path().join("tools");
    fs::create_dir(&tools).expect("a folder");
    std::os::unix::fs::symlink("/bin/grep", tools.join("grep")).expect("a link");
    let launch = Launch::new("/bin/sh").arg(script()).env("PATH", &tools);
    let finished = launch.env("KUBELESS_INSTALL_VOLUME", bare.path()).run();
    assert!(finished.code == Some(1) && finished.stderr.contains("npm is not on PATH"), "{finished:?}");
}
