//! Puts an isolate together: V8, Deno's implementation of Node, the loader of modules, limits.

use std::{rc::Rc, sync::Arc};

use deno_core::{ModuleSpecifier, v8};
use deno_runtime::{
    BootstrapOptions, FeatureChecker, WorkerExecutionMode,
    colors::ColorLevel,
    deno_fs::RealFs,
    deno_permissions::{PermissionsContainer, RuntimePermissionDescriptorParser},
    deno_web::{BlobStore, InMemoryBroadcastChannel},
    worker::{MainWorker, WorkerOptions, WorkerServiceOptions},
};
use sys_traits::impls::RealSys;

use crate::{ffi::Buffers, loader::Loader, ops, pool::Shared};

/// Called within a tokio runtime of the calling thread's own, which the isolate uses from then on.
pub(crate) fn new(shared: &Shared, loader: &Rc<Loader>, buffers: Arc<Buffers>) -> MainWorker {
    let services = WorkerServiceOptions {
        blob_store: Arc::new(BlobStore::default()),
        broadcast_channel: InMemoryBroadcastChannel::default(),
        deno_rt_native_addon_loader: None,
        feature_checker: Arc::new(FeatureChecker::default()),
        fs: Arc::new(RealFs),
        module_loader: loader.clone(),
        node_services: Some(loader.services()),
        npm_process_state_provider: None,
        // What the function may do is the container's to say.
        permissions: PermissionsContainer::allow_all(Arc::new(RuntimePermissionDescriptorParser::new(RealSys))),
        root_cert_store_provider: None,
        fetch_dns_resolver: Default::default(),
        shared_array_buffer_store: Some(Default::default()),
        compiled_wasm_module_store: Some(Default::default()),
        v8_code_cache: None,
        bundle_provider: None,
    };
    let options = WorkerOptions {
        bootstrap: BootstrapOptions {
            color_level: ColorLevel::None,
            has_node_modules_dir: true,
            mode: WorkerExecutionMode::None,
            user_agent: concat!("funchost/", env!("CARGO_PKG_VERSION")).to_owned(),
            ..BootstrapOptions::default()
        },
        extensions: vec![ops::funchost::init()],
        startup_snapshot: shared.snapshot.heap,
        residual_lazy_js_sources: shared.snapshot.scripts,
        residual_lazy_esm_sources: shared.snapshot.modules,
        create_params: Some(
            v8::CreateParams::default()
                .heap_limits(0, shared.limits.memory)
                .array_buffer_allocator(buffers.allocator().make_shared()),
        ),
        ..WorkerOptions::default()
    };
    let main = ModuleSpecifier::from_directory_path(&shared.source.root)
        .unwrap_or_else(|()| unreachable!("the folder is absolute"));
    MainWorker::bootstrap_from_options(&main, services, options)
}
