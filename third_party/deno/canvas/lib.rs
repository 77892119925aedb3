//! In place of Deno's canvas: `OffscreenCanvas` and what goes with it read as undefined.

deno_core::extension!(deno_canvas, lazy_loaded_esm = ["01_canvas.js"], lazy_loaded_js = ["02_surface.js"]);

/// Windows that functions bring along.
pub mod byow {
    use std::cell::RefCell;
    use std::rc::Rc;

    use deno_core::{GarbageCollected, v8};

    /// A window to draw on.
    #[expect(missing_docs, reason = "there is no value of it")]
    pub struct UnsafeWindowSurface {
        pub data: Rc<RefCell<deno_webgpu::canvas::SurfaceData>>,
        pub active_context: (),
    }

    // SAFETY: there is no value of it, so nothing that V8 manages hangs on one.
    unsafe impl GarbageCollected for UnsafeWindowSurface {
        fn trace(&self, _visitor: &mut v8::cppgc::Visitor) {}

        fn get_name(&self) -> &'static std::ffi::CStr {
            c"UnsafeWindowSurface"
        }
    }
}
