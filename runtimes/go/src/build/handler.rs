//! Saying in one sentence what is wrong with a package or a handler, before or instead of the compiler.

use std::path::Path;

use serde::Deserialize;

use super::{error::BuildError, stage::Stage, toolchain::Toolchain};

/// What the sources of a function are the package of.
const PACKAGE: &str = "kubeless";

const FORMS: &str = "func(functions.Event, functions.Context) (string, error) or a \
                     func(http.ResponseWriter, *http.Request)";

/// The name goes into the generated source, so it has to be a name.
pub(super) fn check_name(handler: &str) -> Result<(), BuildError> {
    let mut characters = handler.chars();
    let name = characters.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && characters.all(|c| c.is_alphanumeric() || c == '_');
    if name {
        return Ok(());
    }
    Err(BuildError::Usage(format!(
        "the handler \"{}\" is not the name of a Go function",
        handler.escape_debug()
    )))
}

/// The function's package, as `go list` describes it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    go_files: Vec<String>,
    #[serde(default)]
    cgo_files: Vec<String>,
    error: Option<ListError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListError {
    err: String,
}

/// The Go files of the function's package that are built here: neither tests nor those for other systems.
pub(super) struct Package {
    files: Vec<String>,
}

/// Sees to it that there is one package, with the right name.
pub(super) fn check_package(
    stage: &Stage,
    toolchain: &Toolchain,
    root: &Path,
) -> Result<Package, BuildError> {
    let fields = "-json=Name,GoFiles,CgoFiles,Error";
    let listed: Listed = toolchain
        .json(&stage.source, ["list", "-find", "-e", stage.mod_flag(), fields, "."])
        .map_err(BuildError::Compiler)?;
    let mut files = listed.go_files;
    files.extend(listed.cgo_files);
    if let Some(error) = listed.error {
        // "found packages kubeless (a.go) and main (b.go) in <scratch folder>"
        if let Some((found, _)) =
            error.err.split_once(" in /").filter(|(found, _)| found.starts_with("found packages"))
        {
            return Err(BuildError::Function(format!(
                "{found} in {}: the Go files of a function are all of package {PACKAGE}",
                root.display()
            )));
        }
        if files.is_empty()
            && (error.err.contains("no Go files") || error.err.contains("build constraints exclude"))
        {
            return Err(BuildError::Function(format!(
                "there are no Go files to build in {}",
                root.display()
            )));
        }
        return Err(BuildError::Compiler(error.err));
    }
    match files.first() {
        Some(file) if listed.name != PACKAGE => Err(BuildError::Function(format!(
            "{file} is of package {}: the Go files of a function are all of package {PACKAGE}",
            listed.name
        ))),
        _ => Ok(Package { files }),
    }
}

/// A function declaration, as `sdk/inspect` describes it.
#[derive(Deserialize)]
struct Function {
    name: String,
    form: String,
    place: String,
    fits: bool,
}

/// Why the handler does not fit, when the package itself compiles. `None` leaves it to the compiler's words.
pub(super) fn explain(
    handler: &str,
    package: &Package,
    stage: &Stage,
    toolchain: &Toolchain,
) -> Option<BuildError> {
    let functions: Vec<Function> = toolchain.run(stage, &stage.inspect_program(), &package.files).ok()?;
    sentence(handler, &functions).map(BuildError::Function)
}

fn sentence(handler: &str, functions: &[Function]) -> Option<String> {
    let exported = |name: &str| name.chars().next().is_some_and(char::is_uppercase);
    let asked = functions.iter().find(|function| function.name == handler);
    let problem = match asked {
        Some(Function { place, .. }) if !exported(handler) => format!(
            "the handler {handler} ({place}) is not exported: its name has to begin with a capital letter"
        ),
        Some(Function { form, place, fits: false, .. }) => {
            format!("the handler {handler} ({place}) is a {form}: a handler is a {FORMS}")
        }
        // As far as can be told from here it fits; the compiler knows better.
        Some(_) => return None,
        None => format!("there is no function {handler} in package {PACKAGE}"),
    };
    let candidates: Vec<String> = functions
        .iter()
        .filter(|function| function.fits && exported(&function.name))
        .map(|function| format!("{} ({})", function.name, function.place))
        .collect();
    let candidates = if candidates.is_empty() { "none".to_owned() } else { candidates.join(", ") };
    Some(format!("{problem}. Functions that can be handlers: {candidates}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, form: &str, fits: bool) -> Function {
        Function { name: name.into(), form: form.into(), place: "a.go:3".into(), fits }
    }

    #[test]
    fn a_handler_that_does_not_fit_is_explained_in_one_sentence_with_the_candidates() {
        let functions = [
            function("Hello", "as it should be", true),
            function("hidden", "as it should be", true),
            function("Wrong", "func(a string) string", false),
        ];
        let said = |handler| sentence(handler, &functions).unwrap();
        assert_eq!(
            said("Helo"),
            "there is no function Helo in package kubeless. Functions that can be handlers: Hello (a.go:3)"
        );
        assert_eq!(
            said("hidden"),
            "the handler hidden (a.go:3) is not exported: its name has to begin with a capital letter. \
             Functions that can be handlers: Hello (a.go:3)"
        );
        assert_eq!(
            said("Wrong"),
            "the handler Wrong (a.go:3) is a func(a string) string: a handler is a \
             func(functions.Event, functions.Context) (string, error) or a func(http.ResponseWriter, *http.Request). \
             Functions that can be handlers: Hello (a.go:3)"
        );
        assert_eq!(sentence("Hello", &functions), None);
        assert!(sentence("X", &[]).unwrap().ends_with("Functions that can be handlers: none"));
    }

    #[test]
    fn what_is_not_a_name_does_not_get_into_the_source() {
        for good in ["Hello", "_x", "Größe2"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "2x", "a.b", "x()", "a b", "x\n"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
