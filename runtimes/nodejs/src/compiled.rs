//! What V8 has made of the scripts that run on demand, so that it need not parse them again at every start. Made with
//! the snapshot and kept in it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use deno_core::{JsRuntime, ModuleSpecifier, SourceCodeCacheInfo};
use deno_error::JsErrorBox;

/// Compiled scripts by name.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    known: HashMap<&'static str, &'static [u8]>,
    /// Collects what is compiled, while a snapshot is made.
    new: Option<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Compiled {
    /// Of a snapshot.
    pub(crate) fn known(scripts: impl Iterator<Item = (&'static str, &'static [u8])>) -> Self {
        Self { known: scripts.collect(), new: None }
    }

    /// For making a snapshot.
    pub(crate) fn collecting() -> Self {
        Self { known: HashMap::new(), new: Some(Mutex::default()) }
    }

    /// What has been collected.
    pub(crate) fn collected(&self) -> BTreeMap<String, Vec<u8>> {
        let scripts = self.new.as_ref().map(|new| new.lock().unwrap_or_else(PoisonError::into_inner));
        scripts.map(|mut scripts| std::mem::take(&mut *scripts)).unwrap_or_default()
    }

    /// What there is for a script. V8 checks that it fits.
    pub(crate) fn get(&self, name: &str) -> Option<SourceCodeCacheInfo> {
        let data = self.known.get(name).copied();
        let wanted = data.is_some() || self.new.is_some();
        wanted.then(|| SourceCodeCacheInfo { hash: 0, data: data.map(Cow::Borrowed) })
    }

    /// A script has been compiled.
    pub(crate) fn add(&self, name: &str, data: &[u8]) {
        if let Some(new) = &self.new {
            new.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), data.to_vec());
        }
    }

    /// Has the isolate use it for scripts that are evaluated by the SDK. The CommonJS files of functions come by here as
    /// well; an error keeps Deno from having V8 serialise what it has compiled of them.
    pub(crate) fn serve(self: &Arc<Self>, js: &JsRuntime) {
        let (known, new) = (self.clone(), self.clone());
        let get = move |name: &ModuleSpecifier, _: &[u16]| {
            known.get(name.as_str()).ok_or_else(|| JsErrorBox::generic("nothing is kept of this script"))
        };
        let add = move |name: ModuleSpecifier, _: u64, data: &[u8]| new.add(name.as_str(), data);
        js.set_eval_context_code_cache_cbs(Some((Box::new(get), Box::new(add))));
    }
}
