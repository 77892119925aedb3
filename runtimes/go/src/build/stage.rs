//! The scratch folder that a function is built in.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{error::BuildError, toolchain::Toolchain};
use crate::engine::PLUGIN;

/// The folder, among the function's own packages, that the SDK and the generated package main are put in.
const OURS: &str = "funchost_plugin";
/// The module that functions import `Event` and `Context` from, and the version it stands in for.
const KUBELESS: &str = "github.com/kubeless/kubeless";
const KUBELESS_VERSION: &str = "v1.0.8";

macro_rules! sdk {
    ($($path:literal),* $(,)?) => {
        /// The SDK's files, so that this binary and a toolchain are all that a build needs.
        const SDK: &[(&str, &str)] = &[$(($path, include_str!(concat!("../../sdk/", $path)))),*];
    };
}

sdk!(
    "inspect/main.go",
    "kubeless/go.mod",
    "kubeless/pkg/functions/functions.go",
    "plugin/abi.c",
    "plugin/abi.go",
    "plugin/body.go",
    "plugin/bridge.h",
    "plugin/caller.go",
    "plugin/context.go",
    "plugin/funchost.h",
    "plugin/handler.go",
    "plugin/invoke.go",
    "plugin/pool.go",
    "plugin/request.go",
    "plugin/response.go",
    "plugin/signals.c",
    "plugin/stack.go",
);

/// A function that is ready to be built.
pub(super) struct Stage {
    /// The copy of the function's sources.
    pub(super) source: PathBuf,
    /// The path of the function's module.
    module: String,
    vendored: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GoMod {
    module: GoModule,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GoModule {
    path: String,
}

impl Stage {
    pub(super) fn prepare(root: &Path, scratch: &Path, toolchain: &Toolchain) -> Result<Self, BuildError> {
        if root.join(OURS).exists() {
            return Err(BuildError::Function(format!(
                "{} has a folder {OURS}, which is the build's own name: give it another one",
                root.display()
            )));
        }
        let source = scratch.join("src");
        copy(root, &source, true).map_err(|error| BuildError::io("copy", root, &error))?;
        let go_mod = source.join("go.mod");
        // Kubeless always mounts one, an empty one when the function has no dependencies.
        if fs::read_to_string(&go_mod).map_or(true, |text| text.trim().is_empty()) {
            write(&go_mod, &format!("module function\n\ngo {}\n", toolchain.language))?;
        }
        let read: GoMod = toolchain.json(&source, ["mod", "edit", "-json"]).map_err(BuildError::Compiler)?;
        let vendored = source.join("vendor/modules.txt").is_file();
        let stage = Self { source, module: read.module.path, vendored };
        for (path, text) in SDK {
            write(&stage.source.join(OURS).join(path), text)?;
        }
        if vendored {
            stage.vendor_kubeless(toolchain)?;
        } else {
            let require = format!("-require={KUBELESS}@{KUBELESS_VERSION}");
            let replace = format!("-replace={KUBELESS}=./{OURS}/kubeless");
            toolchain.go(&stage.source, ["mod", "edit", &require, &replace]).map_err(BuildError::Compiler)?;
        }
        Ok(stage)
    }

    /// A vendor folder has the original package, if the function was vendored where that could be had. Its types are
    /// the same.
    fn vendor_kubeless(&self, toolchain: &Toolchain) -> Result<(), BuildError> {
        let package = format!("{KUBELESS}/pkg/functions");
        let folder = self.source.join("vendor").join(&package);
        if folder.is_dir() {
            return Ok(());
        }
        let list = self.source.join("vendor/modules.txt");
        let listed = fs::read_to_string(&list).map_err(|error| BuildError::io("read", &list, &error))?;
        write(&list, &format!("{listed}# {KUBELESS} {KUBELESS_VERSION}\n## explicit\n{package}\n"))?;
        for (path, text) in SDK {
            if let Some(name) = path.strip_prefix("kubeless/pkg/functions/") {
                write(&folder.join(name), text)?;
            }
        }
        let require = format!("-require={KUBELESS}@{KUBELESS_VERSION}");
        toolchain.go(&self.source, ["mod", "edit", &require]).map_err(BuildError::Compiler)
    }

    /// Writes the package main that ties the function to the SDK.
    pub(super) fn write_main(&self, handler: &str) -> Result<(), BuildError> {
        let module = &self.module;
        let text = format!(
            "//go:build go1.24\n\npackage main\n\nimport (\n\tfunction \"{module}\"\n\t\"{module}/{OURS}/plugin\"\n)\n\n\
             func init() {{ plugin.Register(\"{handler}\", function.{handler}) }}\n\nfunc main() {{}}\n"
        );
        write(&self.source.join(OURS).join("main.go"), &text)
    }

    /// Whether the compiler's report is about the generated package: then the function compiles, and the handler does
    /// not fit.
    pub(super) fn blames_main(&self, report: &str) -> bool {
        report.lines().any(|line| line.trim_start_matches("./").starts_with(&format!("{OURS}/main.go:")))
    }

    pub(super) fn main_package(&self) -> String {
        format!("./{OURS}")
    }

    pub(super) fn inspect_program(&self) -> String {
        format!("./{OURS}/inspect")
    }

    /// Where dependencies come from: the vendor folder, or wherever the toolchain finds what is imported, also when
    /// `go.mod` and `go.sum` do not list it yet.
    pub(super) fn mod_flag(&self) -> &'static str {
        if self.vendored { "-mod=vendor" } else { "-mod=mod" }
    }
}

fn write(path: &Path, text: &str) -> Result<(), BuildError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| BuildError::io("write", path, &error))
}

/// Copies what Go may read: hidden files and linked folders are none of its business, as for Go itself; links to
/// files are followed, because that is how Kubernetes mounts a ConfigMap.
fn copy(from: &Path, to: &Path, is_root: bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if name.as_encoded_bytes().starts_with(b".") || (is_root && name == PLUGIN) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        if kind.is_dir() {
            copy(&source, &target, false)?;
        } else if fs::metadata(&source).is_ok_and(|file| file.is_file()) {
            // Without the mode: a read-only mount must not make a read-only copy.
            io::copy(&mut fs::File::open(&source)?, &mut fs::File::create(&target)?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_sdk_is_in_the_binary() {
        fn list(folder: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    list(&path, root, found);
                } else {
                    found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk");
        let mut found = Vec::new();
        list(&root, &root, &mut found);
        // The module around the packages, and tests, are for working on the SDK.
        found.retain(|path| path != "go.mod" && path != "README.md" && !path.ends_with("_test.go"));
        found.sort();
        let embedded: Vec<&str> = SDK.iter().map(|(path, _)| *path).collect();
        assert_eq!(found, embedded);
    }
}
