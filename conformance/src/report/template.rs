//! The forms that are text with holes. Whatever goes into a hole is escaped, in each of them as in HTML and XML.

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut all = Environment::new();
    all.set_auto_escape_callback(
        |name| if name.ends_with(".css") { AutoEscape::None } else { AutoEscape::Html },
    );
    all.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, text) in [
        ("badge.svg", include_str!("../../templates/badge.svg")),
        ("junit.xml", include_str!("../../templates/junit.xml")),
        ("report.css", include_str!("../../templates/report.css")),
        ("report.html", include_str!("../../templates/report.html")),
    ] {
        all.add_template(name, text).expect("a template that the tests have rendered");
    }
    all
});

/// The template of this name with `values` in its holes.
pub(super) fn render(name: &str, values: impl Serialize) -> String {
    let rendered = TEMPLATES.get_template(name).and_then(|template| template.render(values));
    rendered.expect("a template that the tests have rendered")
}
