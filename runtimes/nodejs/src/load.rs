//! Loading the function, and the isolate's JavaScript half.

use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use contract::{CancelReason, Context, HandlerError, LoadError};
use deno_core::{JsRuntime, ModuleSpecifier, error::CoreError, v8};
use deno_runtime::worker::MainWorker;

use crate::{convert::Arguments, error, loader::Loader, state::State};

/// What `sdk/main.js` leaves in the global object for us to take.
const ENTRY: &str = "__funchost";

/// The functions of the SDK.
pub(crate) struct Sdk {
    start: v8::Global<v8::Function>,
    warm: v8::Global<v8::Function>,
    require: v8::Global<v8::Function>,
    choose: v8::Global<v8::Function>,
    invoke: v8::Global<v8::Function>,
    follow: v8::Global<v8::Function>,
    complete: v8::Global<v8::Function>,
    room: v8::Global<v8::Function>,
    over: v8::Global<v8::Function>,
    recover: v8::Global<v8::Function>,
}

type Value<'s> = v8::Local<'s, v8::Value>;

/// Prepares an isolate that is no function's own: Node's `process` becomes that of this process. The rest of the SDK is
/// out of the sight of user code, which it is not for.
pub(crate) fn thread(js: &mut JsRuntime) -> Result<(), HandlerError> {
    deno_core::scope!(scope, js);
    let start = take(scope).and_then(|sdk| part(scope, sdk, "startProcess"));
    start.map_or(Ok(()), |start| call(scope, &start, &[]).map(drop))
}

/// What the SDK has left in the global object, which has it no more.
fn take<'s>(scope: &mut v8::PinScope<'s, '_>) -> Option<v8::Local<'s, v8::Object>> {
    let global = scope.get_current_context().global(scope);
    let entry = v8::String::new(scope, ENTRY)?;
    let sdk = global.get(scope, entry.into())?.try_cast::<v8::Object>().ok()?;
    global.delete(scope, entry.into());
    Some(sdk)
}

fn part(
    scope: &mut v8::PinScope<'_, '_>,
    sdk: v8::Local<'_, v8::Object>,
    name: &str,
) -> Option<v8::Global<v8::Function>> {
    let name = v8::String::new(scope, name)?;
    let function = sdk.get(scope, name.into())?.try_cast::<v8::Function>().ok()?;
    Some(v8::Global::new(scope, function))
}

impl Sdk {
    pub(crate) fn new(js: &mut MainWorker) -> Result<Self, LoadError> {
        deno_core::scope!(scope, &mut js.js_runtime);
        Self::take(scope).ok_or_else(|| LoadError::Runtime("the SDK of the host has not run".to_owned()))
    }

    fn take(scope: &mut v8::PinScope<'_, '_>) -> Option<Self> {
        let sdk = take(scope)?;
        let mut function = |name| part(scope, sdk, name);
        Some(Self {
            start: function("start")?,
            warm: function("warm")?,
            require: function("require")?,
            choose: function("choose")?,
            invoke: function("invoke")?,
            follow: function("follow")?,
            complete: function("complete")?,
            room: function("room")?,
            over: function("over")?,
            recover: function("recover")?,
        })
    }

    /// Prepares the isolate for a function that is told this about itself.
    pub(crate) fn start(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        context: &Context,
    ) -> Result<(), HandlerError> {
        v8::scope!(let scope, scope);
        let text = |text: &str| v8::String::new(scope, text).map_or(v8::undefined(scope).into(), Into::into);
        let optional = |value: &Option<String>| value.as_deref().map_or(v8::undefined(scope).into(), text);
        let arguments: [Value<'_>; 4] = [
            text(&context.function_name),
            v8::Number::new(scope, context.timeout.as_secs_f64()).into(),
            optional(&context.runtime),
            optional(&context.memory_limit),
        ];
        call(scope, &self.start, &arguments).map(drop)
    }

    /// Loads a part of what a function needs that asks for its request or response. Whether there is more.
    pub(crate) fn warm(&self, scope: &mut v8::PinScope<'_, '_>) -> Result<bool, HandlerError> {
        v8::scope!(let scope, scope);
        call(scope, &self.warm, &[]).map(|more| more.is_true())
    }

    /// Calls the handler; gives what it returns.
    pub(crate) fn invoke<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        arguments: &Arguments<'s>,
    ) -> Result<Value<'s>, HandlerError> {
        call(scope, &self.invoke, arguments)
    }

    /// Tells the host when the promise is settled.
    pub(crate) fn follow<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        number: u32,
        promise: v8::Local<'s, v8::Promise>,
    ) -> Result<(), HandlerError> {
        let number = v8::Number::new(scope, f64::from(number)).into();
        call(scope, &self.follow, &[number, promise.into()]).map(drop)
    }

    /// Answers with a value that needs JavaScript for it.
    pub(crate) fn complete<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        number: u32,
        value: Value<'s>,
    ) -> Result<(), HandlerError> {
        let number = v8::Number::new(scope, f64::from(number)).into();
        call(scope, &self.complete, &[number, value]).map(drop)
    }

    /// The response of this call may write more.
    pub(crate) fn room(&self, scope: &mut v8::PinScope<'_, '_>, number: u32) {
        v8::scope!(let scope, scope);
        let number = v8::Number::new(scope, f64::from(number)).into();
        // Listeners of user code run in there; what they throw is reported there.
        let _ = call(scope, &self.room, &[number]);
    }

    /// The call is over, by no doing of the SDK's.
    pub(crate) fn over(&self, scope: &mut v8::PinScope<'_, '_>, number: u32, reason: Option<CancelReason>) {
        v8::scope!(let scope, scope);
        let number = v8::Number::new(scope, f64::from(number)).into();
        let reason = reason.map_or("", CancelReason::label);
        let reason = v8::String::new(scope, reason).unwrap_or_else(|| v8::String::empty(scope)).into();
        let _ = call(scope, &self.over, &[number, reason]);
    }

    /// JavaScript was stopped in the middle of something.
    pub(crate) fn recover(&self, scope: &mut v8::PinScope<'_, '_>) {
        v8::scope!(let scope, scope);
        let _ = call(scope, &self.recover, &[]);
    }
}

/// Calls a function; an error is what it threw, or that it was stopped.
fn call<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    function: &v8::Global<v8::Function>,
    arguments: &[Value<'s>],
) -> Result<Value<'s>, HandlerError> {
    v8::tc_scope!(let scope, scope);
    let function = v8::Local::new(scope, function);
    let nothing = v8::undefined(scope).into();
    let result = function.call(scope, nothing, arguments);
    // What the function has set for its continuations is not for whatever runs next.
    scope.set_continuation_preserved_embedder_data(nothing);
    match result {
        Some(value) => Ok(value),
        None => match scope.exception().filter(|_| !scope.has_terminated()) {
            Some(thrown) => Err(HandlerError::Raised(error::failure(scope, thrown))),
            None => Err(HandlerError::Stopped),
        },
    }
}

/// Loads the module and finds the handler in it. Whether the function will want its request and response.
pub(crate) async fn function(
    js: &mut MainWorker,
    state: &Rc<State>,
    loader: &Loader,
) -> Result<bool, LoadError> {
    let loaded = load(js, state, loader).await;
    match loaded {
        Err(LoadError::Failed { message, .. }) if state.full.get() => {
            Err(LoadError::Failed { message, stack: state.heap_is_full().to_string() })
        }
        other => other,
    }
}

async fn load(js: &mut MainWorker, state: &Rc<State>, loader: &Loader) -> Result<bool, LoadError> {
    let source = state.source();
    {
        deno_core::scope!(scope, &mut js.js_runtime);
        state.sdk.start(scope, &source.context).map_err(|error| broken("the SDK of the host", error))?;
    }
    let file = file(state.root(), &source.module)?;
    let is_module = loader.is_module(&file).map_err(|error| failed(&file, error.to_string()))?;
    let exports = match is_module {
        true => None,
        false => {
            deno_core::scope!(scope, &mut js.js_runtime);
            require(scope, &state.sdk, &file)?
        }
    };
    let exports = match exports {
        Some(exports) => exports,
        None => import(js, &file).await?,
    };
    deno_core::scope!(scope, &mut js.js_runtime);
    choose(scope, &state.sdk, &exports, &file, &source.function)?;
    Ok(fs::read_to_string(&file).is_ok_and(|text| text.contains("extensions")))
}

/// The file that `MOD_NAME` names.
fn file(root: &Path, module: &str) -> Result<PathBuf, LoadError> {
    const SUFFIXES: [&str; 6] = ["js", "cjs", "mjs", "ts", "mts", "cts"];
    let candidates = SUFFIXES.map(|suffix| root.join(format!("{module}.{suffix}")));
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| missing(root, module, &SUFFIXES))
}

/// Tells what is there instead.
fn missing(root: &Path, module: &str, suffixes: &[&str]) -> LoadError {
    let folder = root.display();
    let is_source =
        |path: &Path| path.extension().is_some_and(|found| suffixes.iter().any(|suffix| found == *suffix));
    if root.join(module).is_file() && is_source(Path::new(module)) {
        let stem = Path::new(module).with_extension("");
        let text = format!("MOD_NAME={module} names a file in {folder}; it should be {}", stem.display());
        return LoadError::NotFound(text);
    }
    let mut names: Vec<String> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(PathBuf::from(entry.ok()?.file_name())))
        .filter(|name| is_source(name))
        .map(|name| name.display().to_string())
        .collect();
    names.sort();
    let there = match names.len() {
        0 => "which holds no JavaScript or TypeScript files".to_owned(),
        _ => format!("it holds {}", names.join(", ")),
    };
    LoadError::NotFound(format!("there is no module {module} in {folder} (MOD_NAME); {there}"))
}

/// The exports by `require`; `None` when the module has to be imported instead.
fn require(
    scope: &mut v8::PinScope<'_, '_>,
    sdk: &Sdk,
    file: &Path,
) -> Result<Option<v8::Global<v8::Value>>, LoadError> {
    let path = v8::String::new(scope, &file.to_string_lossy()).unwrap_or_else(|| v8::String::empty(scope));
    let exports = call(scope, &sdk.require, &[path.into()]).map_err(|error| broken_module(file, error))?;
    Ok((!exports.is_undefined()).then(|| v8::Global::new(scope, exports)))
}

async fn import(js: &mut MainWorker, file: &Path) -> Result<v8::Global<v8::Value>, LoadError> {
    let specifier = ModuleSpecifier::from_file_path(file)
        .map_err(|()| failed(file, "its path is not absolute".to_owned()))?;
    let loaded = async {
        let id = js.preload_side_module(&specifier).await?;
        js.evaluate_module(id).await?;
        js.js_runtime.get_module_namespace(id)
    };
    let namespace: Result<_, CoreError> = loaded.await;
    let namespace = namespace.map_err(|error| failed(file, error.to_string()))?;
    deno_core::scope!(scope, &mut js.js_runtime);
    let namespace: Value<'_> = v8::Local::new(scope, namespace).into();
    Ok(v8::Global::new(scope, namespace))
}

/// Finds the handler among the exports. The SDK says which functions there are when it is not among them.
fn choose(
    scope: &mut v8::PinScope<'_, '_>,
    sdk: &Sdk,
    exports: &v8::Global<v8::Value>,
    file: &Path,
    name: &str,
) -> Result<(), LoadError> {
    let exports = v8::Local::new(scope, exports);
    let wanted = v8::String::new(scope, name).unwrap_or_else(|| v8::String::empty(scope));
    let there =
        call(scope, &sdk.choose, &[exports, wanted.into()]).map_err(|error| broken_module(file, error))?;
    if there.is_undefined() {
        return Ok(());
    }
    let there = there.to_rust_string_lossy(scope);
    let there = if there.is_empty() { "none".to_owned() } else { there };
    let file = file.display();
    Err(LoadError::NotFound(format!(
        "{file} exports no function {name} (FUNC_HANDLER); functions in it: {there}"
    )))
}

fn broken_module(file: &Path, error: HandlerError) -> LoadError {
    broken(&file.display().to_string(), error)
}

fn broken(what: &str, error: HandlerError) -> LoadError {
    let stack = match error {
        HandlerError::Raised(failure) if failure.stack.is_empty() => failure.message,
        HandlerError::Raised(failure) => failure.stack,
        other => other.to_string(),
    };
    LoadError::Failed { message: format!("{what} failed while it was loaded"), stack }
}

fn failed(file: &Path, stack: String) -> LoadError {
    LoadError::Failed { message: format!("{} failed while it was loaded", file.display()), stack }
}
