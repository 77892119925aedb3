// The JavaScript half of the host: how a handler is called, and what becomes of what it does not do for its call.
// `load.rs` takes the functions at the end of this file.

import { core } from "ext:core/mod.js";
import { op_funchost_fail, op_funchost_hold, op_funchost_late, op_funchost_settle } from "ext:core/ops";
import { startProcess } from "ext:funchost/node.js";
import { adapt } from "ext:funchost/process.js";

const { setAsyncContext } = core;

let handler;
let functionName, timeout, runtime, memoryLimit;
let Buffer;
// Node's `setTimeout`, whatever user code puts in its place.
let arm;

// What JavaScript holds of calls that run, by number.
const held = new Map();

// Requests and responses are made when a function asks for them; most functions do not.
const lazyExchange = core.createLazyLoader("ext:funchost/exchange.js");

// What a function has asked for of its call.
class Holder {
  #number;
  #exchange;
  #controller;

  constructor(number) {
    this.#number = number;
    if (op_funchost_hold(number)) {
      held.set(number, this);
    }
  }

  get exchange() {
    return this.#exchange ??= lazyExchange().open(this.#number);
  }

  get signal() {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (!held.has(this.#number)) {
        this.#controller.abort();
      }
    }
    return this.#controller.signal;
  }

  room() {
    this.#exchange?.room();
  }

  // The call is over, by no doing of its response's. The reason is empty when it was not stopped.
  over(reason) {
    if (reason !== "") {
      const name = reason === "deadline" ? "TimeoutError" : "AbortError";
      this.#controller?.abort(new DOMException(WHY[reason], name));
    }
    this.#exchange?.gone();
  }
}

const WHY = {
  deadline: "The call is past its deadline",
  client_gone: "The client has gone",
  shutdown: "The host is shutting down",
};

// `event.extensions`
class Extensions {
  #number;
  #holder;

  constructor(number) {
    this.#number = number;
  }

  static holder(extensions) {
    return extensions.#holder ??= held.get(extensions.#number) ?? new Holder(extensions.#number);
  }

  get request() {
    return Extensions.holder(this).exchange.request;
  }

  set request(value) {
    own(this, "request", value);
  }

  get response() {
    return Extensions.holder(this).exchange.response;
  }

  set response(value) {
    own(this, "response", value);
  }

  // An AbortSignal that fires at the deadline and when the client leaves.
  get signal() {
    return Extensions.holder(this).signal;
  }
}
// `console.log(event)` shows `extensions: {}`.
delete Extensions.prototype.constructor;

function own(object, name, value) {
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}

const READY = 0;
const BYTES = 1;

function invoke(number, data, kind, id, type, time, namespace) {
  setAsyncContext({ funchost: number });
  if (kind !== READY) {
    data = kind === BYTES ? Buffer.from(data) : {};
  }
  const event = {
    data,
    "event-id": id,
    "event-type": type,
    "event-time": time,
    "event-namespace": namespace,
    extensions: new Extensions(number),
  };
  const context = { "function-name": functionName, timeout, runtime, "memory-limit": memoryLimit };
  const result = handler(event, context);
  // Promises of other makes.
  if (typeof result === "object" && result !== null && !core.isPromise(result) && typeof result.then === "function") {
    return Promise.resolve(result);
  }
  return result;
}

function follow(number, promise) {
  setAsyncContext({ funchost: number });
  promise.then(
    (value) => {
      if (!op_funchost_settle(number, value)) {
        complete(number, value);
      }
    },
    (error) => op_funchost_fail(number, error),
  ).catch((error) => op_funchost_fail(number, error));
}

function complete(number, value) {
  setAsyncContext({ funchost: number });
  const { exchange } = held.get(number) ?? new Holder(number);
  lazyExchange().complete(exchange, value);
}

function room(number) {
  withHolder(number, (holder) => holder.room());
}

function over(number, reason) {
  withHolder(number, (holder) => {
    held.delete(number);
    holder.over(reason);
  });
}

// Listeners of user code run in there.
function withHolder(number, tell) {
  const holder = held.get(number);
  if (holder !== undefined) {
    setAsyncContext({ funchost: number });
    try {
      tell(holder);
    } catch (error) {
      op_funchost_late(error);
    }
  }
}

// The call's response is complete, and the host knows.
export function forget(number) {
  held.delete(number);
}

// Timers are armed by whoever sets the next one, or by the loop that was stopped.
function recover() {
  arm(() => {}, 1);
}

function start(...context) {
  [functionName, timeout, runtime, memoryLimit] = context;
  Buffer = core.loadExtScript("ext:deno_node/internal/buffer.mjs").Buffer;
  arm = globalThis.setTimeout;
  adapt();
}

// Loads what functions need that ask for their request or response, one part with each call, so that calls of the
// function need not wait for all of it. Whether there is more.
const parts = ["node:module", "node:stream", "node:http"].map((name) => core.createLazyLoader(name));
parts.push(() => lazyExchange().open(0));

function warm() {
  parts.shift()?.();
  return parts.length > 0;
}

function require(path) {
  const { createRequire } = core.createLazyLoader("node:module")().default;
  try {
    return createRequire(path)(path);
  } catch (error) {
    // It awaits something while it is loaded: it has to be imported.
    if (error?.code === "ERR_REQUIRE_ASYNC_MODULE") {
      return undefined;
    }
    throw error;
  }
}

// Takes the handler out of what the module exports: `undefined` when it is there, otherwise what is there instead.
function choose(exports, name) {
  const isFunction = (value) => typeof value === "function";
  const method = (object) => {
    // What every object has is no function of the module's.
    const found = object?.[name];
    return isFunction(found) && found !== Object.prototype[name] ? found.bind(object) : undefined;
  };
  const candidates = [exports, method(exports), method(exports?.default), exports?.default];
  handler = candidates.find(isFunction);
  if (handler !== undefined) {
    return undefined;
  }
  const names = [exports, exports?.default].flatMap((object) => {
    return typeof object === "object" && object !== null ? Object.keys(object).filter((key) => isFunction(object[key])) : [];
  });
  return [...new Set(names)].join(", ");
}
// So that V8 compiles it for the snapshot, as in node.js.
choose({}, "");

globalThis.__funchost = { startProcess, start, warm, require, choose, invoke, follow, complete, room, over, recover };
