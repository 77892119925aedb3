export const ImageBitmap = undefined;
export const createImageBitmap = undefined;
