export const ImageBitmapRenderingContext = undefined;
export const OffscreenCanvas = undefined;
