// The request and response of a call: Node's own objects, with Express's prototypes, and a connection that is none.

import { core } from "ext:core/mod.js";
import { op_funchost_body, op_funchost_express, op_funchost_request } from "ext:core/ops";
import { Connection } from "ext:funchost/connection.js";
import http from "node:http";
import { Readable } from "node:stream";
import { Buffer } from "node:buffer";
import { createRequire } from "node:module";

const { nextTick } = core.loadExtScript("ext:deno_node/_next_tick.ts");

// The head goes to the connection as it is, instead of in front of the body. These are the response's own properties,
// because a framework may give it other prototypes.
const OVERRIDES = {
  _storeHeader: {
    value(statusLine, headers) {
      this.socket.head(this.statusCode, flat(this, headers));
      this._header = statusLine;
      this._headerSent = true;
    },
  },
  writeContinue: { value: informational, configurable: true, writable: true },
  writeProcessing: { value: informational, configurable: true, writable: true },
  writeEarlyHints: { value: informational, configurable: true, writable: true },
  writeInformation: { value: informational, configurable: true, writable: true },
};

// Interim answers are the server's.
function informational(...parameters) {
  const callback = parameters.at(-1);
  if (typeof callback === "function") {
    nextTick(callback);
  }
}

// Headers in all the forms that `writeHead` takes them, as names and values by turns.
function flat(response, headers) {
  const result = [];
  const add = (name, value) => {
    for (const one of Array.isArray(value) ? value : [value]) {
      http.validateHeaderName(name);
      http.validateHeaderValue(name, one);
      result.push(String(name), String(one));
    }
  };
  if (Array.isArray(headers)) {
    const pairs = Array.isArray(headers[0]) ? headers.flat(1) : headers;
    for (let index = 0; index < pairs.length; index += 2) {
      add(pairs[index], pairs[index + 1]);
    }
  } else if (headers) {
    // What was set one by one is kept under the lower-case name, with the name as it was set.
    const set = Object.getPrototypeOf(headers) === null;
    for (const name of Object.keys(headers)) {
      set ? add(...headers[name]) : add(name, headers[name]);
    }
  }
  return result;
}

let express;

function load() {
  const source = op_funchost_express();
  const module = { exports: {} };
  const wrapper = core.evalContext(
    `(function (exports, require, module, process) {${source}\n})`,
    "ext:funchost/express.cjs",
  )[0];
  wrapper(module.exports, createRequire("/"), module, globalThis.process);
  const { express: makeApp, init, query } = module.exports;
  const app = makeApp();
  app.disable("x-powered-by");
  return { app, init: init(app), query: query(app.get("query parser fn")) };
}

class Exchange {
  #number;
  #connection;
  #prototype;
  #piped = false;

  constructor(number) {
    this.#number = number;
    const parts = op_funchost_request(number);
    const [method, url, major, minor, address, port, headers] = parts ?? GONE;
    this.#connection = new Connection(number, address, port);
    this.request = this.#makeRequest(method, url, major, minor, headers);
    this.response = this.#makeResponse();
    express ??= load();
    const { request, response } = this;
    express.init(request, response, nothing);
    express.query(request, response, nothing);
    request.originalUrl = url;
    request.baseUrl = "";
    request.params = { 0: decoded(request.path) };
    this.#prototype = Object.getPrototypeOf(response);
    if (parts === undefined) {
      this.gone();
    }
  }

  #makeRequest(method, url, major, minor, headers) {
    const request = new http.IncomingMessage(this.#connection);
    request.method = method;
    request.url = url;
    request.httpVersionMajor = major;
    request.httpVersionMinor = minor;
    request.httpVersion = `${major}.${minor}`;
    request._addHeaderLines(headers, headers.length);
    const body = op_funchost_body(this.#number);
    const isMultipart = /^multipart\//i.test(request.headers["content-type"] ?? "");
    // As body-parser left it; the stream can be read all the same.
    request.body = body === undefined || isMultipart ? {} : Buffer.from(body);
    // All of it is here, read or not.
    request.complete = true;
    let unread = true;
    Object.defineProperty(request, "_read", {
      value() {
        if (unread) {
          unread = false;
          http.IncomingMessage.prototype._read.call(this);
          if (body !== undefined) {
            this.push(Buffer.from(body));
          }
          this.push(null);
        }
      },
    });
    return request;
  }

  #makeResponse() {
    const response = new http.ServerResponse(this.request);
    Object.defineProperties(response, OVERRIDES);
    const connection = this.#connection;
    response.assignSocket(connection);
    response.once("pipe", () => this.#piped = true);
    response.once("prefinish", () => connection.finish());
    response.once("finish", () => {
      response.detachSocket(connection);
      nextTick(() => close(response));
    });
    return response;
  }

  // Whether somebody else than the handler's return value answers: the head has been sent, something is piped into the
  // response, or a framework has made it its own.
  get taken() {
    const { response } = this;
    return response.headersSent || this.#piped || Object.getPrototypeOf(response) !== this.#prototype;
  }

  room() {
    this.#connection.room();
  }

  // The call is over, and the response is not.
  gone() {
    this.#connection.destroy();
    close(this.response);
  }
}

function close(response) {
  if (!response._closed) {
    response.destroyed = true;
    response._closed = true;
    response.emit("close");
  }
}

const GONE = ["GET", "/", 1, 1, "", 0, []];

// As a route's parameters are; what cannot be decoded stays as it is.
function decoded(path) {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function nothing() {}

export function open(number) {
  return new Exchange(number);
}

// Answers with what the handler has come to.
export function complete(exchange, value) {
  const { response } = exchange;
  if (exchange.taken) {
    return;
  }
  switch (typeof value) {
    case "string":
      response.end(value);
      return;
    case "number":
    case "boolean":
    case "bigint":
      response.end(JSON.stringify(value));
      return;
    case "object":
      sendObject(response, value);
      return;
    default:
      response.end();
  }
}

function sendObject(response, value) {
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) {
    sendBytes(response, Buffer.from(value));
  } else if (ArrayBuffer.isView(value)) {
    sendBytes(response, Buffer.from(value.buffer, value.byteOffset, value.byteLength));
  } else if (typeof value?.pipe === "function" && typeof value.on === "function") {
    pipe(value, response);
  } else if (value instanceof ReadableStream) {
    pipe(Readable.fromWeb(value), response);
  } else {
    response.json(value);
  }
}

function sendBytes(response, bytes) {
  if (!response.get("Content-Type")) {
    response.set("Content-Type", "application/octet-stream");
  }
  response.end(bytes);
}

// A source that fails breaks the answer off, and one whose answer is not wanted any more is told so.
function pipe(source, response) {
  source.once("error", (error) => response.destroy(error));
  response.once("close", () => source.destroy?.());
  source.pipe(response);
}
