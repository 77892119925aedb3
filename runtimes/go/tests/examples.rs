//! Every example of the repository, built and served as its `calls.json` says.

mod support;

use std::path::Path;

use testkit::examples::Example;

#[test]
fn every_example_answers_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/go");
    let examples = Example::all(&folder).expect("examples");
    let names: Vec<&str> = examples.iter().map(|example| example.name.as_str()).collect();
    assert!(names.contains(&"go/hello"), "{names:?}");
    for example in &examples {
        let report = example.run(&support::launch()).expect("an example that can be run");
        assert!(report.mismatches.is_empty(), "{:#?}\n{}", report.mismatches, report.transcript);
    }
}
