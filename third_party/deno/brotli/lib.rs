//! Deno asks for an older Brotli than the server and the compression beside it. The later one does for both; what it calls
//! otherwise is here as Deno calls it.

pub use linked::*;

/// The functions of the C library's interface.
pub mod ffi {
    pub use linked::ffi::*;

    /// Those that decompress.
    pub mod decompressor {
        pub use linked::ffi::decompressor::*;

        /// The functions themselves.
        pub mod ffi {
            use linked::ffi::decompressor::ffi;
            pub use linked::ffi::decompressor::ffi::*;

            /// Sets a parameter; the older version took it and did nothing.
            ///
            /// # Safety
            ///
            /// `state` is null, or what `BrotliDecoderCreateInstance` has returned and nobody else uses meanwhile.
            #[expect(non_snake_case, reason = "the C library's name")]
            pub unsafe fn BrotliDecoderSetParameter(
                state: *mut BrotliDecoderState,
                parameter: interface::BrotliDecoderParameter,
                value: u32,
            ) {
                // SAFETY: the caller keeps what is asked for here.
                unsafe { ffi::BrotliDecoderSetParameter(state, parameter as i32, value) };
            }
        }
    }
}
