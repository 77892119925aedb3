//! Where modules are found and how their sources are read: Node's rules, by Deno's resolver, for both kinds of modules.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use deno_ast::{MediaType, ParseParams, ParsedSource};
use deno_core::{
    FastString, ModuleLoadOptions, ModuleLoadReferrer, ModuleLoadResponse, ModuleResolveResponse,
    ModuleSource, ModuleSourceCode, ModuleSpecifier, ModuleType, RequestedModuleType, ResolutionKind,
    SourceCodeCacheInfo,
};
use deno_error::JsErrorBox;
use deno_resolver::{
    cache::ParsedSourceCache,
    cjs::{
        CjsTracker, IsCjsResolutionMode,
        analyzer::{DenoAstModuleExportAnalyzer, DenoCjsCodeAnalyzer, NullNodeAnalysisCache},
    },
    npm::{
        ByonmNpmResolverCreateOptions, CreateInNpmPkgCheckerOptions, DenoInNpmPackageChecker, NpmResolver,
        NpmResolverCreateOptions,
    },
};
use deno_runtime::{
    deno_node::{NodeExtInitServices, NodeRequireLoader, NodeRequireLoaderRc},
    deno_permissions::PermissionsContainer,
};
use node_resolver::{
    DenoIsBuiltInNodeModuleChecker, NodeResolutionKind, PackageJsonResolver, ResolutionMode,
    analyze::{
        CjsAnalysisSourceProvider, CjsModuleExportAnalyzer, NodeCodeTranslator, NodeCodeTranslatorMode,
    },
    cache::NodeResolutionSys,
    errors::PackageJsonLoadError,
};
use sys_traits::impls::RealSys;

use crate::compiled::Compiled;

type Checker = DenoInNpmPackageChecker;
type Npm = NpmResolver<RealSys>;
type Resolver = node_resolver::NodeResolver<Checker, DenoIsBuiltInNodeModuleChecker, Npm, RealSys>;
type Translator =
    NodeCodeTranslator<DenoCjsCodeAnalyzer<RealSys>, Checker, DenoIsBuiltInNodeModuleChecker, Npm, RealSys>;

/// What `deno_node` needs of all this.
pub(crate) type Services = NodeExtInitServices<Checker, Npm, RealSys>;

/// One per isolate: what it has found out about files stays true for as long as the isolate lives, as in Node.
pub(crate) struct Loader {
    compiled: Arc<Compiled>,
    resolver: Arc<Resolver>,
    packages: Arc<PackageJsonResolver<RealSys>>,
    tracker: Arc<CjsTracker<Checker, RealSys>>,
    translator: Translator,
}

impl Loader {
    /// For a function in the folder `root`.
    pub(crate) fn new(root: &Path, compiled: Arc<Compiled>) -> Self {
        let sys = || NodeResolutionSys::new(RealSys, None);
        let packages = Arc::new(PackageJsonResolver::new(RealSys, None));
        let checker = Checker::new(CreateInNpmPkgCheckerOptions::Byonm);
        let npm = Npm::new(NpmResolverCreateOptions::Byonm(ByonmNpmResolverCreateOptions {
            root_node_modules_dir: Some(root.join("node_modules")),
            search_stop_dir: None,
            sys: sys(),
            pkg_json_resolver: packages.clone(),
        }));
        let resolver = Arc::new(Resolver::new(
            checker.clone(),
            DenoIsBuiltInNodeModuleChecker,
            npm.clone(),
            packages.clone(),
            sys(),
            Default::default(),
        ));
        let tracker = Arc::new(CjsTracker::new(
            checker.clone(),
            packages.clone(),
            IsCjsResolutionMode::ImplicitTypeCommonJs,
            Vec::new(),
        ));
        let exports = DenoCjsCodeAnalyzer::new(
            Arc::new(NullNodeAnalysisCache),
            tracker.clone(),
            Arc::new(DenoAstModuleExportAnalyzer::new(Arc::new(ParsedSourceCache::default()))),
        );
        let exports =
            CjsModuleExportAnalyzer::new(exports, checker, resolver.clone(), npm, packages.clone(), RealSys);
        let translator = Translator::new(Arc::new(exports), NodeCodeTranslatorMode::ModuleLoader);
        Self { compiled, resolver, packages, tracker, translator }
    }

    /// For `deno_node`'s extension.
    pub(crate) fn services(self: &std::rc::Rc<Self>) -> Services {
        let loader: NodeRequireLoaderRc = self.clone();
        NodeExtInitServices {
            node_require_loader: loader,
            node_resolver: self.resolver.clone(),
            pkg_json_resolver: self.packages.clone(),
            sys: RealSys,
        }
    }

    /// Whether a file is an ES module by its name and its `package.json`, whatever is in it.
    pub(crate) fn is_module(&self, file: &Path) -> Result<bool, JsErrorBox> {
        let specifier = url(file)?;
        let cjs = self.tracker.is_maybe_cjs_from_require(&specifier, MediaType::from_specifier(&specifier));
        cjs.map(|cjs| !cjs).map_err(JsErrorBox::from_err)
    }

    fn source(
        &self,
        specifier: &ModuleSpecifier,
        requested: &RequestedModuleType,
    ) -> Result<ModuleSource, JsErrorBox> {
        let path = path(specifier)?;
        let media_type = MediaType::from_specifier(specifier);
        let bytes = |kind: ModuleType| {
            let code = ModuleSourceCode::Bytes(read(&path)?.into_boxed_slice().into());
            Ok(ModuleSource::new(kind, code, specifier, None))
        };
        match (requested, media_type) {
            (RequestedModuleType::Text, _) => bytes(ModuleType::Text),
            (RequestedModuleType::Bytes, _) => bytes(ModuleType::Bytes),
            (_, MediaType::Wasm) => bytes(ModuleType::Wasm),
            (_, MediaType::Json) => bytes(ModuleType::Json),
            _ => {
                let code = ModuleSourceCode::String(self.code(specifier, &path, media_type)?.into());
                Ok(ModuleSource::new(ModuleType::JavaScript, code, specifier, None))
            }
        }
    }

    /// The source of an ES module, or of one that stands for a CommonJS module.
    fn code(
        &self,
        specifier: &ModuleSpecifier,
        path: &Path,
        media_type: MediaType,
    ) -> Result<String, JsErrorBox> {
        let text = text(path, specifier, media_type)?;
        if !self.tracker.is_maybe_cjs(specifier, media_type).map_err(JsErrorBox::from_err)? {
            return Ok(text);
        }
        // The analysis runs on another thread of the runtime's. Nothing of this isolate is needed for it.
        let translation = self.translator.translate_cjs_to_esm_with_source_provider(
            specifier,
            Some(Cow::Owned(text)),
            Some(&Reexports),
        );
        let translated = wait_for(translation);
        translated.map(Cow::into_owned).map_err(JsErrorBox::from_err)
    }
}

/// Blocks the thread until the future is ready: a module that is required has to be there when `require` returns.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Reads the modules that a CommonJS module passes on the exports of.
struct Reexports;

impl CjsAnalysisSourceProvider for Reexports {
    fn load_source<'a>(&'a self, specifier: &ModuleSpecifier) -> Option<Cow<'a, str>> {
        let path = path(specifier).ok()?;
        text(&path, specifier, MediaType::from_specifier(specifier)).ok().map(Cow::Owned)
    }
}

fn url(path: &Path) -> Result<ModuleSpecifier, JsErrorBox> {
    ModuleSpecifier::from_file_path(path)
        .map_err(|()| JsErrorBox::type_error(format!("{} is not an absolute path", path.display())))
}

fn path(specifier: &ModuleSpecifier) -> Result<PathBuf, JsErrorBox> {
    specifier.to_file_path().map_err(|()| {
        JsErrorBox::type_error(format!(
            "cannot load {specifier}: only files, packages and node: modules can be"
        ))
    })
}

fn read(path: &Path) -> Result<Vec<u8>, JsErrorBox> {
    fs::read(path).map_err(|error| JsErrorBox::generic(format!("cannot read {}: {error}", path.display())))
}

/// The text of a file as JavaScript.
fn text(path: &Path, specifier: &ModuleSpecifier, media_type: MediaType) -> Result<String, JsErrorBox> {
    let text = match String::from_utf8(read(path)?) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    if media_type.is_emittable() { without_types(specifier, media_type, text) } else { Ok(text) }
}

/// JavaScript of TypeScript. The map to the original lines is in a comment at its end, where stack traces look for it.
fn without_types(
    specifier: &ModuleSpecifier,
    media_type: MediaType,
    text: String,
) -> Result<String, JsErrorBox> {
    let parsed: ParsedSource = deno_ast::parse_program(ParseParams {
        specifier: specifier.clone(),
        text: text.into(),
        media_type,
        capture_tokens: false,
        scope_analysis: false,
        maybe_syntax: None,
    })
    .map_err(|error| JsErrorBox::new("SyntaxError", error.to_string()))?;
    let emitted = parsed
        .transpile(&Default::default(), &Default::default(), &Default::default())
        .map_err(|error| JsErrorBox::new("SyntaxError", error.to_string()))?;
    Ok(emitted.into_source().text)
}

impl deno_core::ModuleLoader for Loader {
    fn resolve(&self, specifier: &str, referrer: &str, _: ResolutionKind) -> ModuleResolveResponse {
        if let Ok(absolute) = ModuleSpecifier::parse(specifier)
            && matches!(absolute.scheme(), "data" | "ext" | "file")
        {
            return Ok(absolute);
        }
        let referrer = ModuleSpecifier::parse(referrer)
            .map_err(|error| JsErrorBox::type_error(format!("{referrer} cannot import: {error}")))?;
        let resolved = self.resolver.resolve(
            specifier,
            &referrer,
            ResolutionMode::Import,
            NodeResolutionKind::Execution,
        );
        resolved.map_err(JsErrorBox::from_err)?.into_url().map_err(JsErrorBox::from_err)
    }

    fn load(
        &self,
        specifier: &ModuleSpecifier,
        _: Option<&ModuleLoadReferrer>,
        options: ModuleLoadOptions,
    ) -> ModuleLoadResponse {
        ModuleLoadResponse::Sync(self.source(specifier, &options.requested_module_type))
    }

    fn get_code_cache(&self, specifier: &ModuleSpecifier, _: &str) -> Option<SourceCodeCacheInfo> {
        self.compiled.get(specifier.as_str())
    }

    fn code_cache_ready(
        &self,
        specifier: ModuleSpecifier,
        _: u64,
        data: &[u8],
    ) -> Pin<Box<dyn Future<Output = ()>>> {
        self.compiled.add(specifier.as_str(), data);
        Box::pin(std::future::ready(()))
    }
}

impl NodeRequireLoader for Loader {
    fn ensure_read_permission<'a>(
        &self,
        _: &mut PermissionsContainer,
        path: Cow<'a, Path>,
    ) -> Result<Cow<'a, Path>, JsErrorBox> {
        Ok(path)
    }

    fn load_text_file_lossy(&self, path: &Path) -> Result<FastString, JsErrorBox> {
        let specifier = url(path)?;
        text(path, &specifier, MediaType::from_specifier(&specifier)).map(FastString::from)
    }

    fn is_maybe_cjs(&self, specifier: &ModuleSpecifier) -> Result<bool, PackageJsonLoadError> {
        self.tracker.is_maybe_cjs(specifier, MediaType::from_specifier(specifier))
    }

    fn is_maybe_cjs_from_require(&self, specifier: &ModuleSpecifier) -> Result<bool, PackageJsonLoadError> {
        self.tracker.is_maybe_cjs_from_require(specifier, MediaType::from_specifier(specifier))
    }
}
