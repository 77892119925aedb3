//! Strings from V8. Most are stored with one byte for each character, and most of those are ASCII.

use deno_core::v8;

/// The string as UTF-8; lone surrogates become U+FFFD, as Node writes them.
pub(crate) fn text(isolate: &mut v8::Isolate, string: v8::Local<'_, v8::String>) -> Vec<u8> {
    match v8::ValueView::new(isolate, string).data() {
        v8::ValueViewData::OneByte(bytes) if bytes.is_ascii() => bytes.to_vec(),
        v8::ValueViewData::OneByte(bytes) => {
            let mut utf8 = String::with_capacity(bytes.len() + bytes.len() / 2);
            utf8.extend(bytes.iter().map(|byte| char::from(*byte)));
            utf8.into_bytes()
        }
        v8::ValueViewData::TwoByte(units) => String::from_utf16_lossy(units).into_bytes(),
    }
}
