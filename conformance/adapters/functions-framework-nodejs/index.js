'use strict';
// A function for functions-framework that calls one with the signature of Kubeless. It translates the arguments and the
// result, and leaves everything else to the framework.

const path = require('path');

const { MOD_NAME, FUNC_HANDLER, FUNC_RUNTIME, FUNC_MEMORY_LIMIT, FUNC_TIMEOUT } = process.env;
const loaded = require(path.join(process.env.MOD_ROOT_PATH || '/kubeless', MOD_NAME));
const handler = typeof loaded === 'function' ? loaded : loaded[FUNC_HANDLER];
if (typeof handler !== 'function') throw new Error(`${MOD_NAME} has no function ${FUNC_HANDLER}`);

const context = {
  'function-name': FUNC_HANDLER,
  timeout: Number(FUNC_TIMEOUT || 180),
  runtime: FUNC_RUNTIME,
  'memory-limit': FUNC_MEMORY_LIMIT,
};

exports.call = async (request, response) => {
  const event = { data: request.body, extensions: { request, response } };
  for (const name of ['event-id', 'event-type', 'event-time', 'event-namespace']) event[name] = request.get(name);
  const result = await handler(event, context);
  if (!response.headersSent) response.send(typeof result === 'number' ? String(result) : result);
};
