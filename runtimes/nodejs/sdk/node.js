// What every start needs of Deno's Node. This runs while the snapshot is made, so that starts find its objects, and what V8
// has compiled of it, in the heap.

import { core, internals } from "ext:core/mod.js";
// `node:worker_threads` loads it in a way that leaves its text out of the snapshot; what is not compiled yet needs it.
import "ext:deno_web/locks.js";
// Before the arguments: it would take them for those of a process that starts.
import "node:process";
import "ext:funchost/arguments.js";
import "node:module";
import "node:buffer";
import "node:timers";

// There will be others when a process starts.
delete internals.__nodeBootstrapArgs;

const { getOptionValue } = core.loadExtScript("ext:deno_node/internal/options.ts");

// Properties of `process` for options that may stand in NODE_OPTIONS.
const ALIASES = [["noDeprecation", "--no-deprecation"], ["throwDeprecation", "--throw-deprecation"]];

// What `node:process` does when it runs after the start: it takes arguments, ids and options from the process.
export function startProcess() {
  const process = core.createLazyLoader("node:process")().default;
  const args = internals.__nodeBootstrapArgs;
  // Without them Deno has done it by itself.
  if (args !== undefined) {
    const { argv0, denoArgs, denoVersion, nodeDebug, runningOnMainThread } = args;
    internals.__bootstrapNodeProcess(argv0, denoArgs, denoVersion, nodeDebug ?? "", false, runningOnMainThread);
  }
  for (const [name, option] of ALIASES) {
    const value = getOptionValue(option);
    if (value) {
      Object.defineProperty(process, name, { configurable: true, enumerable: true, value });
    }
  }
  return process;
}

// V8 compiles a function when it is called for the first time, and what is compiled when the snapshot is made is in it. So
// what every start calls is called here, with arguments that change nothing.
function callOnce() {
  internals.__nodeProcessBootstrapped = true;
  internals.__bootstrapNodeProcess();
  delete internals.__nodeProcessBootstrapped;

  const { pathFromURL } = core.loadExtScript("ext:deno_web/00_infra.js");
  pathFromURL(new URL("file:///folder/file.js"));

  const { Console } = core.loadExtScript("ext:deno_node/internal/console/constructor.mjs").default;
  const nowhere = { write() {} };
  new Console({ stdout: nowhere, stderr: nowhere, ignoreErrors: false });

  const { default: Module } = core.createLazyLoader("node:module")();
  const file = "/folder/file.js";
  Module._resolveFilename("node:buffer", null);
  Module._resolveLookupPaths("./file.js", null);
  Module._findPath("./file.js", []);
  new Module(file)._compile("", file);
  new Module(file).require("node:buffer");
}

callOnce();
