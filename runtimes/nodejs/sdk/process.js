// What is Node's own in a process of its own, and the host's here: its end, its output, its uncaught errors.

import { core } from "ext:core/mod.js";
import { startProcess } from "ext:funchost/node.js";
import {
  op_funchost_exit,
  op_funchost_late,
  op_funchost_node_path,
  op_funchost_print,
  op_funchost_write_output,
} from "ext:core/ops";

const { getAsyncContext, setAsyncContext } = core;

let process;

export function adapt() {
  process = startProcess();

  core.setUnhandledPromiseRejectionHandler((promise, reason) => {
    if (process.listenerCount("unhandledRejection") > 0) {
      guarded(() => process.emit("unhandledRejection", reason, promise));
    } else {
      uncaught(reason, "unhandledRejection");
    }
    return true;
  });
  core.setReportExceptionCallback((error) => uncaught(error, "uncaughtException"));

  const exit = (code) => op_funchost_exit(Number(code ?? process.exitCode ?? 0) | 0);
  process.exit = exit;
  process.reallyExit = exit;
  process.abort = () => exit(134);
  core.loadExtScript("ext:deno_os/30_os.js").setExitHandler(exit);

  replaceStream("stdout", 1);
  replaceStream("stderr", 2);
  replaceConsole();
  searchToo(op_funchost_node_path());
}

function uncaught(error, origin) {
  if (process.listenerCount("uncaughtException") > 0) {
    guarded(() => process.emit("uncaughtException", error, origin));
  } else {
    op_funchost_late(error);
  }
}

function guarded(listeners) {
  try {
    listeners();
  } catch (error) {
    op_funchost_late(error);
  }
}

function replaceStream(name, fd) {
  let stream;
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: true,
    get() {
      return stream ??= outputStream(fd);
    },
  });
}

function outputStream(fd) {
  const { Writable } = core.createLazyLoader("node:stream")().default;
  const { Buffer } = core.loadExtScript("ext:deno_node/internal/buffer.mjs");
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, encoding, done) {
      if (typeof chunk === "string" && (encoding === "utf8" || encoding === "utf-8")) {
        op_funchost_print(chunk, fd === 2);
      } else {
        op_funchost_write_output(typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk, fd === 2);
      }
      done();
    },
    // Like Node's, it cannot be destroyed.
    destroy(error, done) {
      done(error);
    },
  });
  stream.fd = fd;
  stream._isStdio = true;
  return stream;
}

// Prints what Node prints: Deno shows objects in another way.
function replaceConsole() {
  const { Console } = core.loadExtScript("ext:deno_node/internal/console/constructor.mjs").default;
  const writer = (isError) => ({ write: (text) => op_funchost_print(text, isError) });
  const nodes = new Console({ stdout: writer(false), stderr: writer(true), ignoreErrors: false });
  for (const name of Object.keys(nodes)) {
    if (typeof nodes[name] === "function" && name in console) {
      console[name] = nodes[name];
    }
  }
}

// What a timer throws is reported when it is known no more which call had set it. So it is caught before.
function guardTimers() {
  const { Timeout, Immediate } = core.loadExtScript("ext:deno_node/internal/timers.mjs");
  const guard = (callback) => {
    const context = getAsyncContext();
    if (context?.funchost === undefined || typeof callback !== "function") {
      return callback;
    }
    return function (...parameters) {
      try {
        return Reflect.apply(callback, this, parameters);
      } catch (error) {
        setAsyncContext(context);
        uncaught(error, "uncaughtException");
      }
    };
  };
  const createTimer = Object.getOwnPropertySymbols(Timeout.prototype).find((symbol) => symbol.description === "createTimer");
  const original = Timeout.prototype[createTimer];
  Timeout.prototype[createTimer] = function () {
    this._onTimeout = guard(this._onTimeout);
    return original.call(this);
  };
  // The last thing that its constructor does before it joins the queue.
  const ref = Immediate.prototype.ref;
  Immediate.prototype.ref = function () {
    if (!this.hasRef() && this._idlePrev === null) {
      this._onImmediate = guard(this._onImmediate);
    }
    return ref.call(this);
  };
}

// Threads that user code starts have no calls, so it does nothing there.
guardTimers();

// Has `require` look for packages in these folders as well, after all others; Deno's does not know NODE_PATH.
function searchToo(folders) {
  if (folders.length === 0) {
    return;
  }
  const { default: Module } = core.createLazyLoader("node:module")();
  Module._initPaths();
  const own = Module._resolveLookupPaths;
  Module._resolveLookupPaths = function (request, parent) {
    const found = own(request, parent);
    const isForPackages = found !== null && !/^\.\.?(\/|$)/.test(request);
    return isForPackages ? [...found, ...folders] : found;
  };
}
