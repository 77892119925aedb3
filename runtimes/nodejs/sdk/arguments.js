// What is known of the arguments of every start when `node:module` runs.

import { internals } from "ext:core/mod.js";

internals.__nodeBootstrapArgs = { usesLocalNodeModulesDir: true };
