//! Every example answers as its `calls.json` says.

use std::path::Path;

use testkit::examples::Example;

use crate::support::program;

#[test]
fn every_example_answers_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/nodejs");
    let examples = Example::all(&folder).expect("the examples");
    assert!(examples.len() >= 11, "{examples:?}");
    let mismatches: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = examples
            .iter()
            .map(|example| scope.spawn(|| example.run(&program()).expect("an example that runs")))
            .collect();
        running.into_iter().flat_map(|thread| thread.join().expect("a report").mismatches).collect()
    });
    assert!(mismatches.is_empty(), "{mismatches:#?}");
}
