//! Everything that the compiler cannot check: memory that a file is mapped to, what V8 calls back into, and V8's
//! allocator of ArrayBuffers.

use std::{
    ffi::c_void,
    fs::File,
    io,
    os::fd::AsRawFd as _,
    path::Path,
    ptr, slice,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use deno_core::v8::{self, Isolate, IsolateHandle, UniqueRef, UnsafeRawIsolatePtr};

use crate::interrupt;

/// Maps a file into memory for as long as the process lives. The file must never be written to again, only replaced.
pub(crate) fn map_file(path: &Path) -> io::Result<&'static [u8]> {
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    // SAFETY: a new mapping at an address that the kernel chooses; the descriptor is open.
    let address = unsafe {
        libc::mmap(ptr::null_mut(), length, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping has `length` readable bytes and is never undone. Whoever makes such a file puts a new one in
    // its place and never changes its bytes.
    Ok(unsafe { slice::from_raw_parts(address.cast::<u8>(), length) })
}

/// Asks the isolate to look, as soon as it is in JavaScript, whether what it runs should be stopped:
/// [`interrupt::check`] is called on its thread. Does nothing when the isolate is gone.
pub(crate) fn request_interrupt(isolate: &IsolateHandle) {
    isolate.request_interrupt(interrupted, ptr::null_mut());
}

unsafe extern "C" fn interrupted(isolate: UnsafeRawIsolatePtr, _: *mut c_void) {
    // SAFETY: V8 passes the isolate that it has stopped, on the thread that has entered it.
    let mut isolate = unsafe { Isolate::from_raw_isolate_ptr(isolate) };
    interrupt::check(&mut isolate);
}

/// Counts the bytes of ArrayBuffers, and refuses those beyond a limit: V8 makes a `RangeError` of that.
#[derive(Debug)]
pub(crate) struct Buffers {
    used: AtomicUsize,
    limit: usize,
    refused: AtomicUsize,
}

impl Buffers {
    /// `usize::MAX` for no limit.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit, refused: AtomicUsize::new(0) })
    }

    /// The limit, if a buffer has been refused since this was asked last.
    pub(crate) fn refused(&self) -> Option<usize> {
        (self.refused.swap(0, Relaxed) > 0).then_some(self.limit)
    }

    /// What `CreateParams::array_buffer_allocator` takes.
    pub(crate) fn allocator(self: Arc<Self>) -> UniqueRef<v8::Allocator> {
        // SAFETY: the handle is an `Arc<Buffers>`, which is what the functions of the table make of it; `let_go` gives
        // up this reference, and V8 calls it once, at the end.
        unsafe { v8::new_rust_allocator(Arc::into_raw(self), &TABLE) }
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self
            .used
            .fetch_update(Relaxed, Relaxed, |used| used.checked_add(bytes).filter(|sum| *sum <= self.limit));
        if taken.is_err() {
            self.refused.fetch_add(1, Relaxed);
        }
        taken.is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

static TABLE: v8::RustAllocatorVtable<Buffers> = v8::RustAllocatorVtable {
    allocate: allocate_zeroed,
    allocate_uninitialized: allocate,
    free,
    drop: let_go,
};

unsafe extern "C" fn allocate_zeroed(buffers: &Buffers, bytes: usize) -> *mut c_void {
    // SAFETY: any size may be asked for; V8 frees what it gets with `free`.
    allocate_with(buffers, bytes, || unsafe { libc::calloc(bytes.max(1), 1) })
}

unsafe extern "C" fn allocate(buffers: &Buffers, bytes: usize) -> *mut c_void {
    // SAFETY: as above.
    allocate_with(buffers, bytes, || unsafe { libc::malloc(bytes.max(1)) })
}

fn allocate_with(buffers: &Buffers, bytes: usize, allocate: impl FnOnce() -> *mut c_void) -> *mut c_void {
    if !buffers.take(bytes) {
        return ptr::null_mut();
    }
    let memory = allocate();
    if memory.is_null() {
        buffers.give_back(bytes);
    }
    memory
}

unsafe extern "C" fn free(buffers: &Buffers, memory: *mut c_void, bytes: usize) {
    buffers.give_back(bytes);
    // SAFETY: V8 gives back what it got from the functions above, once.
    unsafe { libc::free(memory) };
}

unsafe extern "C" fn let_go(buffers: *const Buffers) {
    // SAFETY: the reference that `allocator` gave to V8, and V8 calls this once.
    drop(unsafe { Arc::from_raw(buffers) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_beyond_the_limit_are_refused_and_what_is_freed_may_be_taken_again() {
        let buffers = Buffers::new(100);
        assert!(buffers.take(60) && buffers.refused().is_none());
        assert!(!buffers.take(41));
        assert_eq!(buffers.refused(), Some(100));
        assert_eq!(buffers.refused(), None, "told once");
        assert!(buffers.take(40));
        buffers.give_back(60);
        assert!(buffers.take(60) && !buffers.take(usize::MAX));
    }
}
