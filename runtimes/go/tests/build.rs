//! The compile step, from sources to a library, and what it says when there is none.

mod support;

use std::{fs, os::unix::fs::symlink, path::Path};

use testkit::{Finished, Launch, Mount};

const HELLO: &str = r#"package kubeless

import "github.com/kubeless/kubeless/pkg/functions"

func Handler(event functions.Event, context functions.Context) (string, error) {
	return "hello", nil
}
"#;

fn hello() -> Mount {
    Mount::with("hello.go", HELLO)
}

/// The exit status of a build that fails, and all that it says.
fn refused(launch: &Launch) -> (Option<i32>, String) {
    let Finished { code, stdout, stderr } = launch.run();
    assert_eq!(stdout, "", "standard output is for what was built");
    (code, stderr)
}

/// Builds and calls the function once.
fn answer(mount: &Mount) -> String {
    support::build(mount.path(), "Handler");
    support::host(mount.path(), "Handler").start().client().get("/").text()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_build_leaves_the_library_and_nothing_else() {
    let mount = hello();
    let built = support::build(mount.path(), "Handler");
    assert!(built.stdout.contains("function.so with handler Handler built by go1."), "{}", built.stdout);
    assert_eq!(built.stderr, "");
    assert_eq!(names(mount.path()), ["function.so", "hello.go"]);
    assert_eq!(answer(&mount), "hello");
}

#[test]
fn the_hosts_own_variables_do_when_those_of_the_build_are_not_set() {
    let mount = hello();
    let launch = support::builder(mount.path(), "Handler").without("KUBELESS_INSTALL_VOLUME");
    let launch = launch.without("KUBELESS_FUNC_NAME").env("MOD_ROOT_PATH", mount.path());
    assert_eq!(launch.env("FUNC_HANDLER", "Handler").run().code, Some(0));
    assert!(mount.path().join("function.so").is_file());
}

#[test]
fn an_empty_go_mod_is_as_good_as_none() {
    assert_eq!(answer(&hello().file("go.mod", "")), "hello");
}

#[test]
fn the_modules_name_is_the_functions_business() {
    let mount = Mount::new()
        .file("go.mod", "module example.org/some/function\n\ngo 1.21\n")
        .file("a.go", HELLO.replace(r#""hello""#, "text()"))
        .file("b.go", "package kubeless\n\nimport (\n\t_ \"embed\"\n\n\t\"example.org/some/function/inner\"\n)\n\n//go:embed files/text\nvar embedded string\n\nfunc text() string { return embedded + inner.Text }\n")
        .file("inner/inner.go", "package inner\n\nconst Text = \"inner\"\n")
        .file("files/text", "embedded,")
        .file("b_test.go", "package kubeless_test\n\nimport \"testing\"\n\nfunc TestNothing(t *testing.T) {}\n")
        .file("tool.go", "//go:build ignore\n\npackage main\n\nfunc main() {}\n");
    assert_eq!(answer(&mount), "embedded,inner");
}

#[test]
fn a_go_mod_of_the_ancestors_time_works() {
    let mount =
        hello().file("go.mod", "module function\n\ngo 1.14\n\nrequire github.com/kubeless/kubeless v1.0.7\n");
    assert_eq!(answer(&mount), "hello");
}

/// A module of the function's own, required by version and replaced by a folder, is found without any network.
#[test]
fn replaced_modules_are_found() {
    let mount = Mount::new()
        .file("go.mod", "module function\n\ngo 1.21\n\nrequire example.org/text v1.2.3\n\nreplace example.org/text => ./text\n")
        .file("a.go", HELLO.replace(r#""hello""#, "text.Text").replace("import ", "import \"example.org/text\"\nimport "))
        .file("text/go.mod", "module example.org/text\n")
        .file("text/text.go", "package text\n\nconst Text = \"replaced\"\n");
    assert_eq!(answer(&mount), "replaced");
}

#[test]
fn a_vendor_folder_is_used_without_any_network() {
    let source =
        HELLO.replace(r#""hello""#, "text.Text").replace("import ", "import \"example.org/text\"\nimport ");
    let mount = Mount::new()
        .file("go.mod", "module function\n\ngo 1.21\n\nrequire example.org/text v1.2.3\n")
        .file("a.go", &source)
        .file("vendor/modules.txt", "# example.org/text v1.2.3\n## explicit\nexample.org/text\n")
        .file("vendor/example.org/text/text.go", "package text\n\nconst Text = \"vendored\"\n");
    let launch = support::builder(mount.path(), "Handler").env("GOPROXY", "off").env("GOFLAGS", "-mod=mod");
    let built = launch.run();
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert_eq!(support::host(mount.path(), "Handler").start().client().get("/").text(), "vendored");
}

/// As a function is vendored where Kubeless itself could be had: the types then come from that copy.
#[test]
fn a_vendor_folder_may_bring_kubeless_itself() {
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/kubeless/pkg/functions/functions.go");
    let mount = hello()
        .file("go.mod", "module function\n\ngo 1.14\n\nrequire github.com/kubeless/kubeless v1.0.7\n")
        .file(
            "vendor/modules.txt",
            "# github.com/kubeless/kubeless v1.0.7\n## explicit\ngithub.com/kubeless/kubeless/pkg/functions\n",
        )
        .file("vendor/github.com/kubeless/kubeless/pkg/functions/params.go", fs::read(sdk).unwrap());
    let built = support::builder(mount.path(), "Handler").env("GOPROXY", "off").run();
    assert_eq!(built.code, Some(0), "{}", built.stderr);
}

/// A function may bring C of its own; only the host's plugin interface is spoken for.
#[test]
fn c_code_of_the_functions_own_is_compiled() {
    let with_c =
        "// static int twice(int x) { return 2 * x; }\nimport \"C\"\n\nimport \"strconv\"\n\nimport ";
    let mount = Mount::with(
        "hello.go",
        &HELLO.replacen("import ", with_c, 1).replace(r#""hello""#, "strconv.Itoa(int(C.twice(21)))"),
    );
    assert_eq!(answer(&mount), "42");
}

/// Kubernetes mounts a ConfigMap as links into a hidden folder.
#[test]
fn linked_files_are_read_and_hidden_ones_are_not() {
    let mount = Mount::new().file("..data/hello.go", HELLO).file(".hidden.go", "package nonsense");
    symlink("..data/hello.go", mount.path().join("hello.go")).unwrap();
    assert_eq!(answer(&mount), "hello");
}

#[test]
fn compile_errors_are_shown_whole_and_the_old_library_stays() {
    let mount = hello();
    support::build(mount.path(), "Handler");
    let library = fs::read(mount.path().join("function.so")).unwrap();
    let broken: String = (0..12).map(|i| format!("\nfunc f{i}() int {{ return \"{i}\" }}")).collect();
    fs::write(mount.path().join("hello.go"), format!("{HELLO}{broken}")).unwrap();
    let log = Mount::with("log", "of an earlier life");
    let log = log.path().join("log");
    let (code, said) = refused(&support::builder(mount.path(), "Handler").env("FUNC_TERMINATION_LOG", &log));
    assert_eq!(code, Some(65));
    assert!(said.starts_with("funchost-go build: the function does not compile:\n# function\n"), "{said}");
    for line in 9..18 {
        assert!(said.contains(&format!("./hello.go:{line}:")), "{said}");
    }
    assert_eq!(fs::read_to_string(log).unwrap(), said);
    assert!(fs::read(mount.path().join("function.so")).unwrap() == library);
    assert_eq!(names(mount.path()), ["function.so", "hello.go"]);
}

#[test]
fn a_module_that_cannot_be_found_is_named() {
    let mount = hello().file("b.go", "package kubeless\n\nimport _ \"example.org/nowhere\"\n");
    let (code, said) = refused(&support::builder(mount.path(), "Handler").env("GOPROXY", "off"));
    assert_eq!(code, Some(65), "{said}");
    assert!(said.contains("example.org/nowhere"), "{said}");
}

#[test]
fn a_handler_that_does_not_fit_is_explained_in_one_sentence() {
    let mount = hello().file(
        "more.go",
        "package kubeless\n\nimport f \"github.com/kubeless/kubeless/pkg/functions\"\n\n\
         func Another(e f.Event, c f.Context) (text string, err error) { return }\n\n\
         func hidden(e f.Event, c f.Context) (string, error) { return \"\", nil }\n\n\
         func Wrong(\n\ta, b string,\n) string {\n\treturn \"\"\n}\n\n\
         func Generic[T any](e f.Event, c f.Context) (string, error) { return \"\", nil }\n",
    );
    let mount = mount.file(
        "plain.go",
        "package kubeless\n\nimport web \"net/http\"\n\n\
         func Plain(w web.ResponseWriter, r *web.Request) {}\n\n\
         func Almost(w web.ResponseWriter, r web.Request) {}\n",
    );
    let candidates =
        "Functions that can be handlers: Handler (hello.go:5), Another (more.go:5), Plain (plain.go:5)";
    for (handler, problem) in [
        ("Nothing", "there is no function Nothing in package kubeless"),
        (
            "hidden",
            "the handler hidden (more.go:7) is not exported: its name has to begin with a capital letter",
        ),
        (
            "Wrong",
            "the handler Wrong (more.go:9) is a func(a, b string) string: a handler is a \
             func(functions.Event, functions.Context) (string, error) or a \
             func(http.ResponseWriter, *http.Request)",
        ),
    ] {
        let (code, said) = refused(&support::builder(mount.path(), handler));
        assert_eq!(code, Some(65), "{said}");
        assert_eq!(said, format!("funchost-go build: {problem}. {candidates}\n"));
    }
}

/// What Go calls a handler is decided by the Go compiler: a variable that holds a function will do.
#[test]
fn a_variable_can_be_the_handler() {
    let mount = Mount::with("hello.go", &HELLO.replace("func Handler(", "var Handler = func("));
    assert_eq!(answer(&mount), "hello");
}

#[test]
fn the_package_is_kubeless() {
    let root = |mount: &Mount| mount.path().display().to_string();
    let mount = Mount::with("hello.go", &HELLO.replace("package kubeless", "package main"));
    let (code, said) = refused(&support::builder(mount.path(), "Handler"));
    assert_eq!(code, Some(65), "{said}");
    let rule = "the Go files of a function are all of package kubeless";
    assert_eq!(said, format!("funchost-go build: hello.go is of package main: {rule}\n"));

    let mount = hello().file("other.go", "package other\n");
    let (code, said) = refused(&support::builder(mount.path(), "Handler"));
    assert_eq!(code, Some(65), "{said}");
    assert_eq!(
        said,
        format!(
            "funchost-go build: found packages kubeless (hello.go) and other (other.go) in {}: {rule}\n",
            root(&mount)
        )
    );

    let mount = Mount::with("hello.py", "");
    let (code, said) = refused(&support::builder(mount.path(), "Handler"));
    assert_eq!(code, Some(65), "{said}");
    assert_eq!(said, format!("funchost-go build: there are no Go files to build in {}\n", root(&mount)));
}

#[test]
fn what_is_wrong_with_the_order_is_said_at_once() {
    let mount = hello();
    let (code, said) = refused(&support::builder(mount.path(), "x()"));
    assert_eq!(
        (code, said.as_str()),
        (Some(64), "funchost-go build: the handler \"x()\" is not the name of a Go function\n")
    );
    let (code, said) = refused(&support::builder(mount.path(), "x").without("KUBELESS_FUNC_NAME"));
    assert_eq!(code, Some(64));
    assert!(said.contains("neither KUBELESS_FUNC_NAME nor FUNC_HANDLER names a handler"), "{said}");
    let (code, said) = refused(&support::builder(Path::new("/nonexistent"), "Handler"));
    assert_eq!(code, Some(64));
    assert!(said.contains("/nonexistent (KUBELESS_INSTALL_VOLUME) is not a folder"), "{said}");
    let (code, said) = refused(&support::builder(mount.path(), "Handler").arg("--fast"));
    assert_eq!(code, Some(64));
    assert!(said.contains("argument \"--fast\" is not known"), "{said}");
    let (code, said) = refused(&support::builder(mount.path(), "Handler").env("PATH", "/nonexistent"));
    assert_eq!(code, Some(69));
    assert!(said.contains("there is no `go` on PATH"), "{said}");
    let (code, said) = refused(&support::builder(hello().file("funchost_plugin/x", "").path(), "Handler"));
    assert_eq!(code, Some(65));
    assert!(said.contains("has a folder funchost_plugin, which is the build's own name"), "{said}");
}

#[test]
fn an_old_toolchain_is_refused() {
    let tools = Mount::with(
        "go",
        "#!/bin/sh\necho '{\"GOVERSION\":\"go1.19.8\",\"GOCACHE\":\"/c\",\"GOMODCACHE\":\"/m\"}'\n",
    );
    let go = tools.path().join("go");
    fs::set_permissions(&go, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", tools.path().display());
    let (code, said) = refused(&support::builder(hello().path(), "Handler").env("PATH", path));
    assert_eq!(code, Some(69));
    assert!(
        said.contains("the Go toolchain on PATH is go1.19.8; functions are built with go1.24 or newer"),
        "{said}"
    );
}

/// A container whose user has no home: everything that the toolchain keeps goes into the mount.
#[test]
#[ignore = "compiles the standard library anew, which takes a minute"]
fn without_a_home_the_caches_are_in_the_mount() {
    let mount = hello();
    let built = support::builder(mount.path(), "Handler").env("HOME", "/dev/null").run();
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert_eq!(names(mount.path()), [".cache", "function.so", "hello.go"]);
    // And they are used.
    let again = std::time::Instant::now();
    let built = support::builder(mount.path(), "Handler").env("HOME", "/dev/null").run();
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert!(again.elapsed().as_secs() < 10, "{:?}", again.elapsed());
}
