//! The host's end of the plugin's binary interface. `sdk/plugin/funchost.h` describes it; the types here mirror it.

use std::{
    ffi::c_void,
    io,
    path::Path,
    ptr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Wake, Waker},
    time::Instant,
};

use bytes::Bytes;
use contract::{CancelReason, Failure};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};
use tokio::sync::watch;

use crate::{
    batch::ENDED,
    call::{Call, Verdict},
    convert,
    error::OpenError,
    signals,
    upload::Read,
};

/// `FUNCHOST_ABI`
pub(crate) const ABI: u32 = 3;

const INVOKE: u32 = 1;
const CANCEL: u32 = 2;
const ROOM: u32 = 4;
const BODY: u32 = 8;

/// `funchost_bytes`
#[repr(C)]
#[derive(Clone, Copy)]
struct RawBytes {
    data: *const u8,
    len: u64,
}

impl RawBytes {
    fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), len: bytes.len() as u64 }
    }

    /// # Safety
    /// `data` points to `len` bytes that nobody writes to for as long as the slice is used.
    unsafe fn slice<'a>(self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the caller's promise; a length that is not 0 comes with a pointer that is not null.
        unsafe { std::slice::from_raw_parts(self.data, self.len as usize) }
    }

    /// # Safety
    /// As for [`slice`](Self::slice), during this call.
    unsafe fn text(self) -> String {
        // SAFETY: the caller's promise.
        String::from_utf8_lossy(unsafe { self.slice() }).into_owned()
    }
}

/// `funchost_failure`
#[repr(C)]
struct RawFailure {
    kind: u32,
    limit: u64,
    text: RawBytes,
}

/// `funchost_call`
#[repr(C)]
struct Shared {
    next: AtomicPtr<Shared>,
    events: AtomicU32,
    cancelled: AtomicU32,
    deadline: i64,
    head: RawBytes,
    body: RawBytes,
    streamed: u32,
    goroutine: AtomicU64,
}

/// A `funchost_call` with what the host keeps beside it. The plugin sees the first field only.
#[repr(C)]
struct Entry {
    shared: Shared,
    call: Call,
    /// What `shared.head` and `shared.body` point to.
    _head: Vec<u8>,
    _body: Bytes,
    queue: &'static Queue,
}

// SAFETY: the raw pointers in `shared` point to heap memory that the entry itself owns and that nobody changes;
// everything else is Send.
unsafe impl Send for Entry {}
// SAFETY: as above; what changes in `shared` is atomic, and the rest is Sync.
unsafe impl Sync for Entry {}

/// Wakes the plugin, which has asked for more of the body than was there.
impl Wake for Entry {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.queue.post(self, BODY);
        self.queue.wake();
    }
}

/// What plugins have last said; there is one in a process.
static GOROUTINES: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// `funchost_queue`
#[repr(C)]
struct Queue {
    newest: AtomicPtr<Shared>,
    parked: AtomicU32,
    wake: i32,
    ask: AtomicU32,
}

impl Queue {
    fn new() -> io::Result<Self> {
        // SAFETY: a system call without pointers.
        let wake = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if wake < 0 {
            return Err(io::Error::last_os_error());
        }
        let (parked, ask) = (AtomicU32::new(0), AtomicU32::new(0));
        Ok(Self { newest: AtomicPtr::new(ptr::null_mut()), parked, wake, ask })
    }

    /// Puts news into the queue. Somebody has to [`wake`](Self::wake) the plugin afterwards.
    fn post(&self, entry: &Arc<Entry>, events: u32) {
        if entry.shared.events.fetch_or(events, SeqCst) != 0 {
            return; // In the queue already; whoever takes it takes the new events with it.
        }
        // The queue's reference, given back by `reply`, `end`, `fail` or `release`. The pointer is to the entry's
        // first field, which is where the entry begins.
        let shared = Arc::into_raw(entry.clone()).cast::<Shared>().cast_mut();
        let mut newest = self.newest.load(SeqCst);
        loop {
            entry.shared.next.store(newest, SeqCst);
            match self.newest.compare_exchange_weak(newest, shared, SeqCst, SeqCst) {
                Ok(_) => break,
                Err(other) => newest = other,
            }
        }
    }

    /// Never blocks.
    fn wake(&self) {
        if self.parked.load(SeqCst) == 1 && self.parked.swap(0, SeqCst) == 1 {
            let one = 1u64.to_ne_bytes();
            // SAFETY: the buffer holds the 8 bytes that an eventfd takes, and the descriptor is never closed.
            let written = unsafe { libc::write(self.wake, one.as_ptr().cast::<c_void>(), one.len()) };
            debug_assert_eq!(written, 8, "an eventfd takes 2^64 - 2 wakes before it refuses one");
        }
    }
}

/// `funchost_host`
#[repr(C)]
struct Host {
    abi: u32,
    cpus: u32,
    memory: i64,
    crash_log: RawBytes,
    function_name: RawBytes,
    timeout: RawBytes,
    runtime: RawBytes,
    memory_limit: RawBytes,
    queue: *const Queue,
    reply: unsafe extern "C" fn(*const Shared, u32, RawBytes, RawBytes, RawBytes),
    begin: unsafe extern "C" fn(*const Shared, u32, RawBytes, RawBytes),
    chunk: unsafe extern "C" fn(*const Shared, RawBytes) -> u32,
    end: unsafe extern "C" fn(*const Shared),
    fail: unsafe extern "C" fn(*const Shared, RawBytes, RawBytes, RawBytes),
    read: unsafe extern "C" fn(*const Shared, *mut u8, u64) -> i64,
    failure: unsafe extern "C" fn(*const Shared, *mut RawFailure),
    stuck: unsafe extern "C" fn(*const Shared, RawBytes),
    goroutines: extern "C" fn(u64),
    release: unsafe extern "C" fn(*const Shared),
    collect: extern "C" fn(),
    flush: extern "C" fn(),
}

/// `funchost_plugin`
#[repr(C)]
struct About {
    handler: RawBytes,
    go_version: RawBytes,
    streams: u32,
}

/// What the plugin is told when it starts.
#[derive(Debug, Default)]
pub(crate) struct Start<'a> {
    /// CPUs to use; 0 leaves it to Go.
    pub(crate) cpus: u32,
    /// Bytes to use; 0 is no limit.
    pub(crate) memory: i64,
    /// Where the Go runtime repeats its last words.
    pub(crate) crash_log: &'a str,
    /// The context's fields, as the function sees them.
    pub(crate) function_name: &'a str,
    pub(crate) timeout: &'a str,
    pub(crate) runtime: &'a str,
    pub(crate) memory_limit: &'a str,
}

/// A plugin that is open and runs. There is no way to close one: the Go runtime cannot be unloaded.
pub(crate) struct Plugin {
    queue: &'static Queue,
    /// What deadlines are counted from.
    started: Instant,
    /// The handler that the plugin was built for.
    pub(crate) handler: String,
    /// As in `go1.26.1`.
    pub(crate) go_version: String,
    /// The handler takes bodies as they come.
    pub(crate) streams: bool,
}

impl Plugin {
    /// Opens the shared library and starts it. The packages of the function are initialised meanwhile.
    pub(crate) fn open(path: &Path, start: &Start<'_>) -> Result<Self, OpenError> {
        signals::ffi::hand_on_stop_signals().map_err(OpenError::Signals)?;
        // SAFETY: opening runs the library's initialisers: those of Go, which are made for being opened, and those
        // of the function, which the deployment has asked for.
        let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
        let library = library.map_err(|error| OpenError::Library(error.to_string()))?;
        // Never unloaded, whatever happens next: its threads run.
        let library: &'static Library = Box::leak(Box::new(library));

        // SAFETY: a symbol of this name is the constant that funchost.h declares.
        let abi: Result<Symbol<*const u32>, _> = unsafe { library.get(b"funchost_abi\0") };
        let Ok(abi) = abi else { return Err(OpenError::NotAPlugin) };
        // SAFETY: as above; the library stays where it is.
        let abi = unsafe { **abi };
        if abi != ABI {
            return Err(OpenError::Abi { plugin: abi });
        }
        // SAFETY: the version is ours, so this is the function that funchost.h declares.
        let begin =
            unsafe { library.get::<unsafe extern "C" fn(*const Host, *mut About)>(b"funchost_start\0") };
        let begin = begin.map_err(|error| OpenError::Library(error.to_string()))?;

        let queue: &'static Queue = Box::leak(Box::new(Queue::new().map_err(OpenError::Queue)?));
        let host: &'static Host = Box::leak(Box::new(Host {
            abi: ABI,
            cpus: start.cpus,
            memory: start.memory,
            crash_log: RawBytes::of(start.crash_log.as_bytes()),
            function_name: RawBytes::of(start.function_name.as_bytes()),
            timeout: RawBytes::of(start.timeout.as_bytes()),
            runtime: RawBytes::of(start.runtime.as_bytes()),
            memory_limit: RawBytes::of(start.memory_limit.as_bytes()),
            queue,
            reply,
            begin: self::begin,
            chunk,
            end,
            fail,
            read,
            failure,
            stuck,
            goroutines,
            release,
            collect,
            flush,
        }));
        let mut about = About { handler: RawBytes::of(&[]), go_version: RawBytes::of(&[]), streams: 0 };
        // SAFETY: `host` and `queue` live for ever; the texts are copied before the call returns; `about` is ours to
        // have filled.
        unsafe { begin(host, &raw mut about) };
        let started = Instant::now();
        // SAFETY: the plugin never frees or changes its texts.
        let handler = unsafe { about.handler.text() };
        // SAFETY: as above.
        let go_version = unsafe { about.go_version.text() };
        Ok(Self { queue, started, handler, go_version, streams: about.streams != 0 })
    }

    /// Puts a call into the queue; [`wake`](Self::wake) is due afterwards. `head` is as funchost.h describes it; no
    /// `body` means that the call has one to read.
    pub(crate) fn submit(&self, head: Vec<u8>, body: Option<Bytes>, deadline: Instant, call: Call) -> Handle {
        let streamed = u32::from(body.is_none());
        let body = body.unwrap_or_default();
        let after_start = deadline.saturating_duration_since(self.started);
        let entry = Arc::new(Entry {
            shared: Shared {
                next: AtomicPtr::new(ptr::null_mut()),
                events: AtomicU32::new(0),
                cancelled: AtomicU32::new(0),
                deadline: i64::try_from(after_start.as_nanos()).unwrap_or(i64::MAX),
                head: RawBytes::of(&head),
                body: RawBytes::of(&body),
                streamed,
                goroutine: AtomicU64::new(0),
            },
            call,
            _head: head,
            _body: body,
            queue: self.queue,
        });
        self.queue.post(&entry, INVOKE);
        Handle { entry, queue: self.queue }
    }

    /// How many goroutines there are. Waits for the plugin.
    pub(crate) async fn goroutines(&self) -> u64 {
        let mut told = GOROUTINES.subscribe();
        self.queue.ask.store(1, SeqCst);
        self.queue.wake();
        // The sender lives for ever.
        let _ = told.changed().await;
        *told.borrow()
    }

    /// Has the plugin look at what was submitted, unless it does so anyway.
    pub(crate) fn wake(&self) {
        self.queue.wake();
    }
}

/// The host's hold on a call that the plugin has.
pub(crate) struct Handle {
    entry: Arc<Entry>,
    queue: &'static Queue,
}

impl Handle {
    pub(crate) fn call(&self) -> &Call {
        &self.entry.call
    }

    /// Tells the plugin that nobody waits any more. The first reason stays.
    pub(crate) fn cancel(&self, reason: CancelReason) {
        let cancelled = &self.entry.shared.cancelled;
        if cancelled.compare_exchange(0, reason as u32, SeqCst, SeqCst).is_ok() && !self.entry.call.is_over()
        {
            self.queue.post(&self.entry, CANCEL);
            self.queue.wake();
        }
    }

    /// Tells the plugin that it may send more of the body.
    pub(crate) fn make_room(&self) {
        self.queue.post(&self.entry, ROOM);
        self.queue.wake();
    }
}

/// The plugin's reference, which ends with this.
///
/// # Safety
/// `call` came out of the queue and its reference has not been given back.
unsafe fn take(call: *const Shared) -> Arc<Entry> {
    // SAFETY: `post` made the pointer from an `Arc<Entry>`.
    unsafe { Arc::from_raw(call.cast::<Entry>()) }
}

// What follows is called by the plugin, on its threads. funchost.h says what each does, and makes the promises that
// the comments call the plugin's: a call that is passed is one whose reference the plugin has, and bytes stay as they
// are until the function returns. None of them may unwind, and `extern "C"` sees to it that none does.

unsafe extern "C" fn reply(
    call: *const Shared,
    status: u32,
    headers: RawBytes,
    media: RawBytes,
    body: RawBytes,
) {
    // SAFETY: the plugin's promise.
    let entry = unsafe { take(call) };
    // SAFETY: the plugin's promise.
    let headers = unsafe { headers.slice() };
    // SAFETY: the plugin's promise.
    let media = unsafe { media.slice() };
    // SAFETY: the plugin's promise.
    let body = unsafe { body.slice() };
    entry.call.reply(status, headers, media, body);
}

unsafe extern "C" fn begin(call: *const Shared, status: u32, headers: RawBytes, media: RawBytes) {
    // SAFETY: the plugin's promise; the entry begins with what the pointer points to.
    let entry = unsafe { &*call.cast::<Entry>() };
    // SAFETY: the plugin's promise.
    let headers = unsafe { headers.slice() };
    // SAFETY: the plugin's promise.
    let media = unsafe { media.slice() };
    entry.call.begin(status, headers, media);
}

unsafe extern "C" fn chunk(call: *const Shared, piece: RawBytes) -> u32 {
    // SAFETY: the plugin's promise; the entry begins with what the pointer points to.
    let entry = unsafe { &*call.cast::<Entry>() };
    // SAFETY: the plugin's promise.
    let piece = unsafe { piece.slice() };
    match entry.call.chunk(piece) {
        Verdict::GoOn => 0,
        Verdict::Wait => 1,
        Verdict::Gone => 2,
    }
}

unsafe extern "C" fn end(call: *const Shared) {
    // SAFETY: the plugin's promise.
    unsafe { take(call) }.call.end();
}

unsafe extern "C" fn fail(call: *const Shared, kind: RawBytes, message: RawBytes, stack: RawBytes) {
    // SAFETY: the plugin's promise.
    let entry = unsafe { take(call) };
    // SAFETY: the plugin's promise.
    let kind = unsafe { kind.text() };
    // SAFETY: the plugin's promise.
    let message = unsafe { message.text() };
    // SAFETY: the plugin's promise.
    let stack = unsafe { stack.text() };
    entry.call.fail(Failure { kind, message, stack });
}

unsafe extern "C" fn read(call: *const Shared, into: *mut u8, len: u64) -> i64 {
    let entry = call.cast::<Entry>();
    // SAFETY: the plugin's promise; the pointer came from an `Arc`.
    unsafe { Arc::increment_strong_count(entry) };
    // SAFETY: this is the reference that was just made.
    let entry = unsafe { Arc::from_raw(entry) };
    // SAFETY: the plugin's promise: room for so many bytes, which nobody else uses before the function returns.
    let into = unsafe { std::slice::from_raw_parts_mut(into, len as usize) };
    let waker = Waker::from(entry.clone());
    match entry.call.upload.read(into, &mut Context::from_waker(&waker)) {
        Read::Bytes(read) => read as i64,
        Read::NoneYet => 0,
        Read::End => -1,
        Read::Broken => -2,
    }
}

unsafe extern "C" fn failure(call: *const Shared, why: *mut RawFailure) {
    // SAFETY: the plugin's promise; the entry begins with what the pointer points to.
    let entry = unsafe { &*call.cast::<Entry>() };
    let Some(failed) = entry.call.upload.failure() else { return };
    let (kind, limit) = convert::body_failure(&failed.error);
    let told = RawFailure { kind, limit, text: RawBytes::of(failed.text.as_bytes()) };
    // SAFETY: the plugin's promise: it points to one of these.
    unsafe { why.write(told) };
}

unsafe extern "C" fn stuck(call: *const Shared, stack: RawBytes) {
    // SAFETY: the plugin's promise; the entry begins with what the pointer points to.
    let entry = unsafe { &*call.cast::<Entry>() };
    // SAFETY: the plugin's promise.
    entry.call.is_at(unsafe { stack.text() });
}

extern "C" fn goroutines(count: u64) {
    GOROUTINES.send_replace(count);
}

unsafe extern "C" fn release(call: *const Shared) {
    // SAFETY: the plugin's promise.
    drop(unsafe { take(call) });
}

extern "C" fn collect() {
    ENDED.collect();
}

extern "C" fn flush() {
    ENDED.flush();
}
