//! The rows themselves.

use super::{Kind, Origin, Scope, Variable};

/// Declares every row as a constant of its own and collects them in [`TABLE`], in this order, so that a variable
/// cannot exist without being in the table.
macro_rules! table {
    ($($name:ident: $kind:expr, $origin:expr, { $($field:ident: $value:expr),* $(,)? }, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub const $name: Variable = Variable {
                $($field: $value,)*
                ..row(stringify!($name), $kind, $origin, $meaning)
            };
        )*

        /// All variables.
        pub const TABLE: &[Variable] = &[$($name),*];
    };
}

const fn row(name: &'static str, kind: Kind, origin: Origin, meaning: &'static str) -> Variable {
    Variable { name, alias: None, kind, default: None, required: false, scope: Scope::Every, origin, meaning }
}

const fn count(min: u64, max: u64, of: &'static str) -> Kind {
    Kind::Count { min, max, of }
}

const fn seconds(min: f64, max: f64) -> Kind {
    Kind::Seconds { min, max }
}

const DAY: f64 = 86_400.0;
const PYTHON: Scope = Scope::Only("python");
const GO: Scope = Scope::Only("go");
const NODEJS: Scope = Scope::Only("nodejs");

table! {
    MOD_NAME: Kind::Text, Origin::Kubeless, { required: true },
        "the file or module under the mount that holds the function, without its suffix";
    FUNC_HANDLER: Kind::Text, Origin::Kubeless, { required: true },
        "the function in that module";
    MOD_ROOT_PATH: Kind::Path, Origin::KubelessRuntime("Ruby and PHP"), { default: Some("/kubeless") },
        "the folder that the function is mounted at";
    FUNC_ADDRESS: Kind::Address, Origin::Funchost, { default: Some("0.0.0.0") },
        "the address to listen on; `::` takes IPv4 and IPv6";
    FUNC_PORT: count(0, 65_535, "a port"), Origin::Kubeless, { alias: Some("PORT"), default: Some("8080") },
        "the port to listen on; 0 takes a free one, which is printed. `PORT` (Knative) is read when it is not set";
    FUNC_TIMEOUT: seconds(0.001, DAY), Origin::Kubeless, { default: Some("180") },
        "the time from a request's arrival to its answer's last byte, then 408";
    FUNC_RUNTIME: Kind::Text, Origin::Kubeless, {},
        "what the function is told its runtime is called, as in python3.13";
    FUNC_MEMORY_LIMIT: Kind::Quantity, Origin::Kubeless, {},
        "what the function is told its memory limit is; 0 means none. With FUNC_ISOLATION=process the worker that has \
         most is ended when they and the server together come near it, or near the container's own limit";
    REQ_MB_LIMIT: Kind::Mebibytes { max: 4096.0 }, Origin::KubelessRuntime("Node.js"), { default: Some("1") },
        "the largest request body, inflated if it was compressed; one byte more is answered 413";
    FUNC_MEMFILE_MAX: count(1, 4_294_967_296, "bytes"), Origin::KubelessRuntime("Python"), {},
        "the same limit in bytes; it wins over REQ_MB_LIMIT when set";
    FUNC_CONCURRENCY: count(1, 1_000_000, "calls"), Origin::Funchost, { default: Some("1000") },
        "how many calls run at once; a runtime with fewer threads than this runs no more than it has threads";
    FUNC_ISOLATION: Kind::Choice(&["thread", "process"]), Origin::Funchost, {},
        "where the function runs: in threads of the server's own process, or in worker processes that it can ruin \
         without ruining the server. When not set, `process` for Python and Go";
    FUNC_WORKERS: count(1, 256, "workers"), Origin::Funchost, {},
        "how many worker processes there are with FUNC_ISOLATION=process; in Node.js, how many isolates without it. As \
         many as the CPUs that the quota allows when not set";
    FUNC_CPU_TIMEOUT: seconds(0.001, DAY), Origin::Funchost, {},
        "with FUNC_ISOLATION=process: the processor time that a call may take, then 408. A call that shares its worker \
         with others is charged its part of what they take together";
    FUNC_WORKER_MAX_CALLS: count(1, 1_000_000_000, "calls"), Origin::Funchost, {},
        "with FUNC_ISOLATION=process: a worker is replaced after so many calls";
    FUNC_WORKER_MAX_AGE: seconds(1.0, 365.0 * DAY), Origin::Funchost, {},
        "with FUNC_ISOLATION=process: a worker is replaced when it is so old";
    FUNC_WORKER_MAX_MEMORY: Kind::Quantity, Origin::Funchost, {},
        "with FUNC_ISOLATION=process: a worker that has grown larger than this is replaced";
    FUNC_WORKER_FILES: count(16, 1_048_576, "files"), Origin::Funchost, {},
        "with FUNC_ISOLATION=process: how many files and sockets a worker may have open (RLIMIT_NOFILE)";
    FUNC_WORKER_PROCESSES: count(16, 4_194_304, "processes"), Origin::Funchost, {},
        "with FUNC_ISOLATION=process: how many processes and threads the user of the workers may have altogether \
         (RLIMIT_NPROC, which does not bind root)";
    FUNC_QUEUE: count(0, 1_000_000, "calls"), Origin::Funchost, { default: Some("1000") },
        "how many calls may wait for their turn; one more is answered 503";
    FUNC_QUEUE_WAIT: seconds(0.0, DAY), Origin::Funchost, { default: Some("10") },
        "how long a call waits for its turn, then 503";
    FUNC_STUCK_LIMIT: count(1, 1_000_000, "calls"), Origin::Funchost, {},
        "readiness fails when this many calls are stuck: cancelled, yet still running. Half of what can run at once \
         when not set";
    FUNC_HEADER_TIMEOUT: seconds(0.1, DAY), Origin::Funchost, { default: Some("10") },
        "how long a client may take to send a request's head, from its first byte";
    FUNC_HEADER_MAX: count(1024, 131_072, "bytes"), Origin::Funchost, { default: Some("65536") },
        "the largest request head, names and values together (431); the request line may take a quarter of it (414)";
    FUNC_BODY_TIMEOUT: seconds(0.1, DAY), Origin::Funchost, { default: Some("30") },
        "how long a client may send nothing of a body it announced (408), or take nothing of an answer";
    FUNC_IDLE_TIMEOUT: seconds(0.1, DAY), Origin::Funchost, { default: Some("75") },
        "how long a connection without a request is kept open";
    DRAIN_DELAY: seconds(0.0, 3600.0), Origin::Funchost, { default: Some("5") },
        "how long connections are still accepted after SIGTERM, while readiness already fails";
    SHUTDOWN_TIMEOUT: seconds(0.0, 3600.0), Origin::KubelessRuntime("Go"), { default: Some("10") },
        "how long running calls may take to finish after that";
    FUNC_CORS: Kind::Switch, Origin::Funchost, { default: Some("on") },
        "answers CORS preflights and allows every origin unless the function says otherwise";
    FUNC_ERROR_DETAIL: Kind::Switch, Origin::Funchost, { default: Some("off") },
        "shows clients the message of the function's error; for development";
    FUNC_LOG_FORMAT: Kind::Choice(&["text", "json"]), Origin::Funchost, { default: Some("text") },
        "how log lines look";
    FUNC_LOG_LEVEL: Kind::Choice(&["error", "warn", "info", "debug", "trace"]), Origin::Funchost,
        { default: Some("info") }, "the least severe of the host's own log lines that are written";
    FUNC_ACCESS_LOG: Kind::Switch, Origin::Funchost, { default: Some("on") },
        "writes one line per request";
    FUNC_IO_THREADS: count(1, 256, "threads"), Origin::Funchost, {},
        "threads for network I/O; as many as the CPUs of the process, 4 at the most, when not set";
    FUNC_TERMINATION_LOG: Kind::Path, Origin::Funchost, { default: Some("/dev/termination-log") },
        "where a failed start is reported to Kubernetes, if the file exists";
    FUNC_THREADS: count(1, 10_000, "threads"), Origin::Funchost,
        { alias: Some("CHERRYPY_NUMTHREADS"), default: Some("64"), scope: PYTHON },
        "how many `def` handlers run at once (`async def` ones share one event loop). `CHERRYPY_NUMTHREADS` \
         (Kubeless) is read when it is not set";
    FUNC_PYTHON: Kind::Path, Origin::Funchost, { scope: PYTHON },
        "the Python to run: a `python3` executable or a `libpython3.x.so`. The `python3` on PATH when not set";
    FUNC_HEAP_LIMIT: Kind::Quantity, Origin::Funchost, { scope: NODEJS },
        "memory that one isolate's objects may take, and as much again its ArrayBuffers; a call that goes over it \
         fails. Worked out from FUNC_MEMORY_LIMIT or the container's limit when not set";
    NODE_PATH: Kind::Text, Origin::KubelessRuntime("Node.js"), { scope: NODEJS },
        "folders, separated by colons, in which `require` looks for packages after all `node_modules`";
    KUBELESS_INSTALL_VOLUME: Kind::Path, Origin::Kubeless, { scope: GO },
        "the folder that `funchost-go build` finds the sources in and writes `function.so` to. `MOD_ROOT_PATH` is \
         read when it is not set";
    KUBELESS_FUNC_NAME: Kind::Text, Origin::Kubeless, { scope: GO },
        "the handler that `funchost-go build` builds for. `FUNC_HANDLER` is read when it is not set";
    GOCACHE: Kind::Path, Origin::KubelessRuntime("Go"), { scope: GO },
        "where `funchost-go build` keeps compiled packages for the next build. `.cache` beside the sources when \
         it is not set and there is no home folder to write to";
}
