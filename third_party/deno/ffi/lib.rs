//! In place of Deno's calls into native libraries: `Deno.dlopen` and what goes with it read as undefined. Addons of
//! Node.js are not touched by it: they are loaded by another crate.

use denort_helper::DenoRtNativeAddonLoaderRc;

deno_core::extension!(
    deno_ffi,
    lazy_loaded_js = ["00_ffi.js"],
    options = { addons: Option<DenoRtNativeAddonLoaderRc> },
    state = |_state, options| drop(options.addons),
);
