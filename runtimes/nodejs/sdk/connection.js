// What stands for the socket of a request and its response.

import { core } from "ext:core/mod.js";
import {
  op_funchost_begin,
  op_funchost_end,
  op_funchost_fail,
  op_funchost_reply,
  op_funchost_write,
} from "ext:core/ops";
import { forget } from "ext:funchost/main.js";
import { EventEmitter } from "node:events";
import { Buffer } from "node:buffer";

const { kNeedDrain } = core.loadExtScript("ext:deno_node/internal/http.ts");
const { nextTick } = core.loadExtScript("ext:deno_node/_next_tick.ts");

const HIGH_WATER_MARK = 65536;

// Stands for a request's socket. What Node's response writes to it is the body, without any framing; the head comes by
// a way of its own. An answer that is complete before the event loop goes on is sent as a whole.
export class Connection extends EventEmitter {
  #number;
  #head;
  #pieces = [];
  #callbacks = [];
  #scheduled = false;
  #begun = false;
  #full = false;

  constructor(number, address, port) {
    super();
    this.#number = number;
    this.remoteAddress = address;
    this.remoteFamily = address.includes(":") ? "IPv6" : "IPv4";
    this.remotePort = port;
    this.readable = true;
    this.writable = true;
    this.destroyed = false;
    this.connecting = false;
    this.writableHighWaterMark = HIGH_WATER_MARK;
    this.writableLength = 0;
    // What `ServerResponse.end` resets.
    this._writableState = { corked: 0 };
    this._httpMessage = null;
  }

  get begun() {
    return this.#head !== undefined;
  }

  head(status, headers) {
    this.#head = [status, headers];
  }

  write(data, encoding, callback) {
    if (this.destroyed) {
      return false;
    }
    if (data.length > 0) {
      this.#pieces.push(typeof data === "string" && !isUtf8(encoding) ? Buffer.from(data, encoding) : data);
      this.writableLength += data.length;
    }
    if (typeof callback === "function") {
      this.#callbacks.push(callback);
    }
    if (!this.#scheduled) {
      this.#scheduled = true;
      nextTick(() => this.#flush());
    }
    return !this.#full && this.writableLength < HIGH_WATER_MARK;
  }

  #flush() {
    this.#scheduled = false;
    if (this.destroyed || this.#head === undefined || this.#full) {
      return;
    }
    if (!this.#begun) {
      this.#begun = true;
      if (!op_funchost_begin(this.#number, ...this.#head)) {
        return;
      }
    }
    for (const piece of this.#pieces) {
      this.#full = !op_funchost_write(this.#number, piece);
    }
    this.#pieces = [];
    if (!this.#full) {
      this.#written();
    }
  }

  // Everything has been taken.
  #written() {
    this.writableLength = 0;
    for (const callback of this.#callbacks.splice(0)) {
      callback();
    }
    const response = this._httpMessage;
    if (response?.writableNeedDrain) {
      response[kNeedDrain] = false;
      response.emit("drain");
    }
  }

  room() {
    this.#full = false;
    if (this.#pieces.length > 0) {
      this.#flush();
    } else {
      this.#written();
    }
  }

  // The response is complete.
  finish() {
    if (this.destroyed) {
      return;
    }
    if (this.#begun) {
      for (const piece of this.#pieces) {
        op_funchost_write(this.#number, piece);
      }
      op_funchost_end(this.#number);
    } else {
      const pieces = this.#pieces;
      const body = pieces.length > 1 ? Buffer.concat(pieces.map(bytesOf)) : pieces[0];
      op_funchost_reply(this.#number, ...this.#head, body);
    }
    this.#pieces = [];
    forget(this.#number);
    this.#written();
  }

  destroy(error) {
    if (!this.destroyed) {
      this.destroyed = true;
      this.readable = false;
      this.writable = false;
      op_funchost_fail(this.#number, error ?? new Error("the response was destroyed before it was complete"));
      nextTick(() => {
        if (error && this.listenerCount("error") > 0) {
          this.emit("error", error);
        }
        this.emit("close", Boolean(error));
      });
    }
    return this;
  }

  destroySoon() {
    this.destroy();
  }

  end() {
    return this;
  }

  setTimeout() {
    return this;
  }

  setNoDelay() {
    return this;
  }

  setKeepAlive() {
    return this;
  }

  address() {
    return {};
  }

  cork() {}
  uncork() {}
  pause() {
    return this;
  }
  resume() {
    return this;
  }
  ref() {
    return this;
  }
  unref() {
    return this;
  }
}

function isUtf8(encoding) {
  return !encoding || encoding === "utf8" || encoding === "utf-8";
}

function bytesOf(piece) {
  return typeof piece === "string" ? Buffer.from(piece) : piece;
}
