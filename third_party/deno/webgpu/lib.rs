//! In place of Deno's WebGPU: `GPU` and what goes with it read as undefined.

use std::convert::Infallible;

deno_core::extension!(deno_webgpu, lazy_loaded_js = ["00_init.js"]);

/// The graphics of a machine, which functions are not given: there is no value of it.
#[derive(Clone, Copy, Debug)]
pub enum Instance {}

impl Instance {
    /// Makes a surface to draw on in a window.
    ///
    /// # Safety
    ///
    /// It can never be called.
    ///
    /// # Errors
    ///
    /// None, as it can never be called.
    pub unsafe fn instance_create_surface<D, W>(
        self,
        _display: Option<D>,
        _window: W,
        _id: Option<Infallible>,
    ) -> Result<Infallible, Infallible> {
        match self {}
    }
}

/// What is drawn on.
pub mod canvas {
    use super::{Infallible, Instance};

    /// A window's surface.
    #[derive(Debug)]
    #[expect(missing_docs, reason = "there is no value of it")]
    pub struct SurfaceData {
        pub id: Infallible,
        pub width: u32,
        pub height: u32,
        pub instance: Instance,
    }
}
