'use strict';
// What Kubeless' Node.js runtime does, on the packages that it was made of. The function is loaded with the first call,
// and only its synchronous part has a deadline.

const path = require('path');
const vm = require('vm');
const express = require('express');
const morgan = require('morgan');
const prometheus = require('prom-client');

const { MOD_NAME, FUNC_HANDLER, FUNC_RUNTIME, FUNC_MEMORY_LIMIT } = process.env;
const root = process.env.MOD_ROOT_PATH || '/kubeless';
const port = Number(process.env.FUNC_PORT || 8080);
const timeout = Number(process.env.FUNC_TIMEOUT || 180);
const limit = `${process.env.REQ_MB_LIMIT || 1}mb`;

const labelNames = ['method'];
const calls = new prometheus.Counter({ name: 'function_calls_total', help: 'Number of calls to user function', labelNames });
const failures = new prometheus.Counter({
  name: 'function_failures_total', help: 'Number of exceptions in user function', labelNames,
});
const duration = new prometheus.Histogram({
  name: 'function_duration_seconds', help: 'Duration of user function in seconds', labelNames,
});

const context = {
  'function-name': FUNC_HANDLER, timeout, runtime: FUNC_RUNTIME, 'memory-limit': FUNC_MEMORY_LIMIT,
};

function load() {
  const loaded = require(path.join(root, MOD_NAME));
  return typeof loaded === 'function' ? loaded : loaded[FUNC_HANDLER];
}

function eventOf(request, response) {
  const { body } = request;
  let data = body;
  if (Buffer.isBuffer(body) && body.length > 0) {
    const text = body.toString('utf8');
    data = request.is('application/json') ? JSON.parse(text) : text;
  }
  const event = { data, extensions: { request, response } };
  for (const name of ['event-id', 'event-type', 'event-time', 'event-namespace']) event[name] = request.get(name);
  return event;
}

function reply(response, result) {
  // The function may have answered by itself.
  if (response.finished) return;
  if (typeof result === 'string') response.end(result);
  else if (typeof result === 'object') response.json(result);
  else response.end(JSON.stringify(result));
}

// A frame around the call that V8 can end when its time is over.
const frame = new vm.Script('call()');

function invoke(request, response) {
  response.header('Access-Control-Allow-Origin', '*');
  const label = `${MOD_NAME}-${request.method}`;
  const stop = duration.startTimer({ method: label });
  calls.labels(label).inc();
  const failed = (error) => {
    failures.labels(label).inc();
    console.error(`the function failed: ${error && error.stack || error}`);
    if (!response.headersSent) response.status(500).send('Internal Server Error');
    stop();
  };
  const call = () => Promise.resolve(load()(eventOf(request, response), context))
    .then((result) => { reply(response, result); stop(); })
    .catch(failed);
  try {
    frame.runInNewContext({ call }, { timeout: timeout * 1000 });
  } catch (error) {
    if (error.code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') return failed(error);
    stop();
    console.error('a call has run out of its time, and cannot be told to stop: the process ends');
    response.on('finish', () => process.exit(1));
    response.status(408).json(error);
  }
}

const app = express();
app.use(morgan('combined'));
app.use(express.raw({ type: (request) => !/^multipart\//.test(request.headers['content-type'] || ''), limit }));
app.get('/healthz', (request, response) => response.send('OK'));
app.get('/metrics', async (request, response) => {
  response.type(prometheus.register.contentType).send(await prometheus.register.metrics());
});
app.options('*', (request, response) => {
  response.header('Access-Control-Allow-Origin', '*');
  response.header('Access-Control-Allow-Methods', request.get('access-control-request-method'));
  response.header('Access-Control-Allow-Headers', request.get('access-control-request-headers'));
  response.end();
});
app.all('*', invoke);

const server = app.listen(port);
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    console.log('shutting down');
    server.close();
    server.closeIdleConnections();
  });
}
