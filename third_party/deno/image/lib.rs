//! In place of Deno's decoders of images: `ImageBitmap` and `createImageBitmap` read as undefined.

deno_core::extension!(deno_image, lazy_loaded_esm = ["01_image.js"]);
