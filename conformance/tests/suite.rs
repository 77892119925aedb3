//! The suite fits together: requirements, checks, fixtures, profiles.

use std::collections::BTreeSet;
use std::path::Path;

use conformance::claims::Description;
use conformance::result::Level;
use conformance::{checks, coverage, fixtures, spec};

#[test]
fn every_requirement_has_a_check_and_every_check_a_requirement() {
    assert_eq!(coverage::gaps(spec::spec(), &checks::all()), Vec::<String>::new());
}

#[test]
fn coverage_sees_what_does_not_fit() {
    let text = "Version: 1\n\n### load.1 (SHOULD) A title\nA text.\nSource: Ours.\n\n### new.1 (MUST) A title\nA text.\nSource: Ours.\n";
    let spec = spec::parse(text).unwrap();
    let all = checks::all();
    let gaps = coverage::gaps(&spec, &[all[0], all[0], all[1]]);
    let expected = [
        "new.1: no check looks at it",
        "load.1/function-is-called: the check says Must, the requirement Should",
        "load.1/function-is-called: there are two checks of this id",
        "load.1/function-is-called: the check says Must, the requirement Should",
        "load.2/port-is-listened-on: SPEC.md has no requirement load.2",
    ];
    assert_eq!(gaps, expected);
}

#[test]
fn ids_are_areas_numbers_and_slugs() {
    for check in checks::all() {
        let (requirement, slug) = check.id.split_once('/').unwrap();
        let (area, number) = requirement.split_once('.').unwrap();
        assert!(
            area.bytes().all(|sign| sign.is_ascii_lowercase()) && number.parse::<u8>().is_ok(),
            "{}",
            check.id
        );
        assert!(slug.bytes().all(|sign| matches!(sign, b'a'..=b'z' | b'0'..=b'9' | b'-')), "{}", check.id);
        assert!(check.summary.ends_with('.'), "{}: {}", check.id, check.summary);
    }
}

#[test]
fn may_is_for_capabilities() {
    for check in checks::all() {
        assert!(
            check.level != Level::May || check.needs.is_some(),
            "{} would be looked at in every target",
            check.id
        );
    }
}

#[test]
fn selections_end_where_numbers_do() {
    let ids = |prefix: &str| -> Vec<_> {
        checks::all()
            .into_iter()
            .filter(|check| check.is_selected_by(prefix))
            .map(|check| check.requirement())
            .collect()
    };
    let load_1: BTreeSet<_> = ids("load.1").into_iter().collect();
    assert_eq!(load_1, BTreeSet::from(["load.1"]));
    assert!(ids("load").contains(&"load.13"));
    assert_eq!(ids("load.10/usage").len(), 1);
    assert_eq!(ids("loa").len(), 0);
}

#[test]
fn a_requirement_that_is_not_one_is_named() {
    let problem =
        spec::parse("Version: 1\n### load.1 (PERHAPS) A title\nA text.\nSource: Ours.\n").unwrap_err();
    assert!(problem.contains("load.1 (PERHAPS) A title"), "{problem}");
    assert!(
        spec::parse("### load.1 (MUST) A title\nA text.\nSource: Ours.\n").unwrap_err().contains("Version")
    );
}

#[test]
fn each_language_has_every_fixture_that_its_floor_needs_and_the_table_names_them_all() {
    let table = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/README.md")).unwrap();
    for language in ["python", "nodejs", "go"] {
        let profile = format!("{}/profiles/funchost-{language}.toml", env!("CARGO_MANIFEST_DIR"));
        let floor = Description::from_file(Path::new(&profile)).unwrap().capabilities;
        for check in checks::all() {
            let is_needed = check.needs.is_none_or(|capability| floor.iter().any(|name| name == capability));
            let is_there = fixtures::OWN.get_dir(format!("{language}/{}", check.fixture)).is_some();
            assert!(
                is_there || !is_needed,
                "{language} has no fixture {}, which {} needs",
                check.fixture,
                check.id
            );
            assert!(
                table.contains(&format!("| `{}` |", check.fixture)),
                "{} is not in the table",
                check.fixture
            );
        }
    }
}

#[test]
fn the_suite_depends_on_no_other_crate_of_the_workspace() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let dependencies = manifest["dependencies"].as_table().unwrap();
    for (name, dependency) in dependencies {
        assert!(
            !["contract", "host", "testkit"].contains(&name.as_str()),
            "{name} would let a mistake pass itself"
        );
        assert!(dependency.get("path").is_none(), "{name} is of this workspace");
    }
}
