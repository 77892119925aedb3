//! Puts an isolate together: V8, Deno's implementation of Node, the loader of modules, limits.

use std::{path::PathBuf, rc::Rc, sync::Arc};

use contract::Output;
use deno_core::{CompiledWasmModuleStore, JsRuntime, ModuleSpecifier, SharedArrayBufferStore, v8};
use deno_runtime::{
    BootstrapOptions, FeatureChecker, WorkerExecutionMode,
    colors::ColorLevel,
    deno_fs::RealFs,
    deno_permissions::{PermissionsContainer, RuntimePermissionDescriptorParser},
    deno_web::{BlobStore, InMemoryBroadcastChannel},
    ops::worker_host::{CreateWebWorkerArgs, CreateWebWorkerCb},
    web_worker::{SendableWebWorkerHandle, WebWorker, WebWorkerOptions, WebWorkerServiceOptions},
    worker::{MainWorker, WorkerOptions, WorkerServiceOptions},
};
use sys_traits::impls::RealSys;

use crate::{
    compiled::Compiled, ffi::Buffers, load, loader::Loader, ops, output::Printer, snapshot::Snapshot,
};

/// What all isolates of a process are made from.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// The folder of the function.
    pub(crate) root: PathBuf,
    /// Bytes of objects, and again of ArrayBuffers.
    pub(crate) memory: usize,
    pub(crate) snapshot: Snapshot,
    pub(crate) compiled: Arc<Compiled>,
    /// Where threads of user code print.
    pub(crate) output: Arc<dyn Output>,
}

/// Starts V8, which all isolates of the process share, on the calling thread.
///
/// V8 takes the check whether it should stop out of some loops that it unrolls; such a loop would hear of neither
/// deadline nor heap limit. So nothing is unrolled. A snapshot's compiled scripts are only good for the same flags.
pub(crate) fn start_v8() {
    v8::V8::set_flags_from_string("--no-turboshaft-loop-unrolling");
    JsRuntime::init_platform(None);
}

/// What an isolate has in common with the threads (`node:worker_threads`) that its function starts.
#[derive(Clone)]
struct Family {
    parts: Parts,
    blobs: Arc<BlobStore>,
    channel: InMemoryBroadcastChannel,
    array_buffers: SharedArrayBufferStore,
    modules: CompiledWasmModuleStore,
}

/// A main isolate. Called within a tokio runtime of the calling thread's own, which the isolate uses from then on.
pub(crate) fn new(parts: &Parts, loader: &Rc<Loader>, buffers: Arc<Buffers>) -> MainWorker {
    let family = Family {
        parts: parts.clone(),
        blobs: Arc::default(),
        channel: InMemoryBroadcastChannel::default(),
        array_buffers: SharedArrayBufferStore::default(),
        modules: CompiledWasmModuleStore::default(),
    };
    let services = WorkerServiceOptions {
        blob_store: family.blobs.clone(),
        broadcast_channel: family.channel.clone(),
        deno_rt_native_addon_loader: None,
        feature_checker: Arc::new(FeatureChecker::default()),
        fs: Arc::new(RealFs),
        module_loader: loader.clone(),
        node_services: Some(loader.services()),
        npm_process_state_provider: None,
        permissions: permissions(),
        root_cert_store_provider: None,
        fetch_dns_resolver: Default::default(),
        shared_array_buffer_store: Some(family.array_buffers.clone()),
        compiled_wasm_module_store: Some(family.modules.clone()),
        v8_code_cache: None,
        bundle_provider: None,
    };
    let options = WorkerOptions {
        bootstrap: bootstrap(WorkerExecutionMode::None),
        extensions: vec![ops::funchost::init()],
        startup_snapshot: Some(parts.snapshot.heap),
        residual_lazy_js_sources: parts.snapshot.scripts,
        residual_lazy_esm_sources: parts.snapshot.modules,
        // They are in the snapshot; those that V8 can call faster replace them when a script is loaded that may gain by it.
        skip_op_registration: true,
        create_params: Some(limited(parts.memory, buffers)),
        create_web_worker_cb: threads(family),
        ..WorkerOptions::default()
    };
    let main = ModuleSpecifier::from_directory_path(&parts.root)
        .unwrap_or_else(|()| unreachable!("the folder is absolute"));
    let worker = MainWorker::bootstrap_from_options(&main, services, options);
    parts.compiled.serve(&worker.js_runtime);
    worker
}

fn threads(family: Family) -> Arc<CreateWebWorkerCb> {
    Arc::new(move |args| thread(&family, args))
}

/// An isolate for a thread that user code starts. Its memory is limited in the same way; when it comes to the limit,
/// it ends, and its parent hears of that.
fn thread(family: &Family, args: CreateWebWorkerArgs) -> (WebWorker, SendableWebWorkerHandle) {
    let parts = &family.parts;
    let loader = Rc::new(Loader::new(&parts.root, parts.compiled.clone()));
    let services = WebWorkerServiceOptions {
        blob_store: family.blobs.clone(),
        broadcast_channel: family.channel.clone(),
        deno_rt_native_addon_loader: None,
        compiled_wasm_module_store: Some(family.modules.clone()),
        feature_checker: Arc::new(FeatureChecker::default()),
        fs: Arc::new(RealFs),
        main_inspector_session_tx: Default::default(),
        module_loader: loader.clone(),
        node_services: Some(loader.services()),
        npm_process_state_provider: None,
        permissions: args.permissions,
        root_cert_store_provider: None,
        shared_array_buffer_store: Some(family.array_buffers.clone()),
        bundle_provider: None,
    };
    let options = WebWorkerOptions {
        name: args.name,
        main_module: args.main_module.clone(),
        worker_id: args.worker_id,
        bootstrap: BootstrapOptions {
            location: Some(args.main_module),
            close_on_idle: args.close_on_idle,
            ..bootstrap(WorkerExecutionMode::Worker)
        },
        extensions: vec![ops::funchost::init()],
        startup_snapshot: Some(parts.snapshot.heap),
        residual_lazy_js_sources: parts.snapshot.scripts,
        residual_lazy_esm_sources: parts.snapshot.modules,
        unsafely_ignore_certificate_errors: None,
        create_params: Some(limited(parts.memory, Buffers::new(parts.memory))),
        seed: None,
        create_web_worker_cb: threads(family.clone()),
        format_js_error_fn: None,
        worker_type: args.worker_type,
        cache_storage_dir: None,
        stdio: Default::default(),
        trace_ops: None,
        close_on_idle: args.close_on_idle,
        maybe_worker_metadata: args.maybe_worker_metadata,
        maybe_main_module_blob: args.maybe_main_module_blob,
        maybe_coverage_dir: None,
        maybe_cpu_prof_config: None,
        enable_raw_imports: false,
        enable_stack_trace_arg_in_ops: false,
        wait_for_debugger_on_start: false,
        wait_for_page_wait_for_debugger: false,
    };
    let (mut worker, handle) = WebWorker::bootstrap_from_options(services, options);
    if let Err(error) = load::thread(&mut worker.js_runtime) {
        tracing::warn!("Node's process is not set up in a thread: {error}");
    }
    let isolate = worker.js_runtime.v8_isolate();
    isolate.set_slot(Rc::new(Printer::new(parts.output.clone())));
    let (full, stop) = (worker.oom_triggered.clone(), isolate.thread_safe_handle());
    worker.js_runtime.add_near_heap_limit_callback(move |limit, _| {
        full.store(true, std::sync::atomic::Ordering::SeqCst);
        stop.terminate_execution();
        limit * 2
    });
    (worker, handle)
}

/// What the function may do is the container's to say.
fn permissions() -> PermissionsContainer {
    PermissionsContainer::allow_all(Arc::new(RuntimePermissionDescriptorParser::new(RealSys)))
}

fn bootstrap(mode: WorkerExecutionMode) -> BootstrapOptions {
    BootstrapOptions {
        color_level: ColorLevel::None,
        has_node_modules_dir: true,
        mode,
        user_agent: concat!("funchost/", env!("CARGO_PKG_VERSION")).to_owned(),
        ..BootstrapOptions::default()
    }
}

fn limited(memory: usize, buffers: Arc<Buffers>) -> v8::CreateParams {
    v8::CreateParams::default()
        .heap_limits(0, memory)
        .array_buffer_allocator(buffers.allocator().make_shared())
}
