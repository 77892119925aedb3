// What every start needs of Deno's Node. It runs while the snapshot is made, so that starts find its objects, and what V8
// has compiled of it, in the heap.

import { core, internals } from "ext:core/mod.js";
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
