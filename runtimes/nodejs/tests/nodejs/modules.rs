//! What functions may load: files beside them, what Node.js brings, both kinds of modules.

use serde_json::json;
use testkit::Mount;

use crate::support::{Function, program};

#[test]
fn files_json_and_folders_are_required_as_in_node() {
    let mount = Mount::with(
        "function.js",
        "const path = require('path')\n\
         const library = require('./library')\n\
         exports.handler = () => ({\n\
         \x20 library: library.name, again: require('./library.js') === library, folder: require('./folder').name,\n\
         \x20 json: require('./data.json').answer, main: require('./package').name, parent: require('./folder/../library').name,\n\
         \x20 absolute: require(path.join(__dirname, 'library.js')) === library, cached: require.cache[require.resolve('./library')]?.exports === library,\n\
         \x20 resolved: path.relative(__dirname, require.resolve('./folder')), dirname: __dirname === process.env.MOD_ROOT_PATH,\n\
         \x20 filename: path.basename(__filename), id: module.id !== undefined, children: module.children?.length > 0, cycle: library.cycle(),\n\
         \x20 exports: module.exports === exports, strict: (function () { return this === undefined })(),\n\
         })\n",
    )
    .file("library.js", "exports.name = 'library'\nconst cycle = require('./cycle')\nexports.cycle = () => cycle.back()\n")
    .file("cycle.js", "const library = require('./library')\nexports.back = () => library.name\n")
    .file("folder/index.js", "exports.name = require('../data').answer + ' in a folder'\n")
    .file("data.json", "\u{feff}{\"answer\": 42}")
    .file("package/package.json", r#"{"main": "lib/entry"}"#)
    .file("package/lib/entry.js", "module.exports = { name: 'entry' }\n");
    assert_eq!(
        Function::serve_mount(mount, &[]).get("/").json(),
        json!({
            "library": "library", "again": true, "folder": "42 in a folder", "json": 42, "main": "entry",
            "parent": "library", "absolute": true, "cached": true, "resolved": "folder/index.js", "dirname": true,
            "filename": "function.js", "id": true, "children": true, "cycle": "library", "exports": true,
            "strict": false
        })
    );
}

#[test]
fn packages_come_from_the_mount_and_from_node_path() {
    let elsewhere = Mount::new()
        .file("elsewhere/index.js", "module.exports = 'elsewhere'\n")
        .file("both/index.js", "module.exports = 'from NODE_PATH'\n");
    let mount = Mount::with(
        "function.js",
        "exports.handler = () => [require('installed'), require('@scope/package/part'), require('elsewhere'), require('both'),\n\
         \x20 require('exporting'), require('exporting/feature'), require('./sub').value].join(', ')\n",
    )
    .file("node_modules/installed/package.json", r#"{"main": "./main.js"}"#)
    .file("node_modules/installed/main.js", "module.exports = 'installed with ' + require('nested')\n")
    .file("node_modules/installed/node_modules/nested/index.js", "module.exports = 'nested'\n")
    .file("node_modules/@scope/package/part.js", "module.exports = 'scoped'\n")
    .file("node_modules/both/index.js", "module.exports = 'from the mount'\n")
    .file(
        "node_modules/exporting/package.json",
        r#"{"exports": {".": {"import": "./not.mjs", "require": "./yes.cjs"}, "./feature": "./feature.js"}}"#,
    )
    .file("node_modules/exporting/yes.cjs", "module.exports = 'by condition'\n")
    .file("node_modules/exporting/feature.js", "module.exports = 'feature'\n")
    .file("sub/index.js", "exports.value = require('installed').length\n");
    let launch = program().function(mount.path(), "function", "handler").env("NODE_PATH", elsewhere.path());
    assert_eq!(
        launch.start().client().get("/").text(),
        "installed with nested, scoped, elsewhere, from the mount, by condition, feature, 21"
    );
}

#[test]
fn packages_of_the_mount_are_found_from_files_that_are_links_out_of_it() {
    // As Kubernetes mounts a ConfigMap: the file is a link into a folder of another name.
    let mount = Mount::new()
        .file("..data_1/function.js", "exports.handler = () => require('installed')\n")
        .file("node_modules/installed/index.js", "module.exports = 'found'\n");
    std::os::unix::fs::symlink("..data_1/function.js", mount.path().join("function.js")).expect("a link");
    assert_eq!(Function::serve_mount(mount, &[]).get("/").text(), "found");
}

#[test]
fn both_kinds_of_modules_use_each_other() {
    let mount = Mount::with(
        "function.mjs",
        "import fs, { readFileSync } from 'fs'\n\
         import { createRequire } from 'node:module'\n\
         import common, { named } from './common.cjs'\n\
         import data from './data.json' with { type: 'json' }\n\
         import * as installed from 'installed'\n\
         const require = createRequire(import.meta.url)\n\
         const here = new URL('.', import.meta.url).pathname\n\
         export async function handler() {\n\
         \x20 const late = await import('./late.mjs')\n\
         \x20 return [common.named, named, data.answer, installed.kind, require('./common.cjs') === common, late.default,\n\
         \x20   fs.readFileSync === readFileSync, import.meta.dirname + '/' === here, import.meta.filename.endsWith('/function.mjs'),\n\
         \x20   require('./esm.mjs').value, typeof module, await common.late()]\n\
         }\n",
    )
    .file("common.cjs", "exports.named = 'named'\nexports.late = async () => (await import('./late.mjs')).default\n")
    .file("data.json", r#"{"answer": 42}"#)
    .file("late.mjs", "export default 'late'\n")
    .file("esm.mjs", "export const value = 'required ESM'\n")
    .file("node_modules/installed/package.json", r#"{"type": "module", "exports": {"import": "./esm.js", "require": "./common.cjs"}}"#)
    .file("node_modules/installed/esm.js", "export const kind = 'import'\n")
    .file("node_modules/installed/common.cjs", "exports.kind = 'require'\n");
    assert_eq!(
        Function::serve_mount(mount, &[]).get("/").json(),
        json!([
            "named",
            "named",
            42,
            "import",
            true,
            "late",
            true,
            true,
            true,
            "required ESM",
            "undefined",
            "late"
        ])
    );
}

#[test]
fn typescript_of_every_kind_is_loaded() {
    let mount = Mount::with(
        "function.ts",
        "import { area, type Shape } from './shapes.ts'\n\
         import plain from './plain.cts'\n\
         namespace Words { export const unit = 'square' }\n\
         abstract class Base<T> { constructor(protected readonly value: T) {} abstract say(): string }\n\
         class Said extends Base<number> { say() { return `${this.value satisfies number}` } }\n\
         const shape = { width: 2, height: 3 } as const satisfies Shape\n\
         export const handler = async (): Promise<string> => `${new Said(area(shape)!).say()} ${Words.unit} ${plain.word}`\n",
    )
    .file("shapes.ts", "export interface Shape { width: number; height: number }\nexport const area = ({ width, height }: Shape): number | undefined => width * height\n")
    .file("plain.cts", "const word: string = 'units'\nmodule.exports = { word }\n");
    assert_eq!(Function::serve_mount(mount, &[]).get("/").text(), "6 square units");
}

/// One small thing of each module that functions use, as the answer of one call.
const BUILT_INS: &str = r#"
const results = {}
const tests = {
  fs: async (fs) => { const file = `${__dirname}/written.txt`; fs.writeFileSync(file, 'text'); await fs.promises.appendFile(file, ' more'); return fs.readFileSync(file, 'utf8') },
  path: (path) => path.join('/a', '../b', 'c.txt'),
  http: (http) => new Promise((resolve, reject) => {
    const server = http.createServer((request, response) => response.end(`served ${request.url}`)).listen(0, '127.0.0.1', () => {
      http.get({ port: server.address().port, host: '127.0.0.1', path: '/x' }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (piece) => { text += piece }).on('end', () => { server.close(); resolve(text) })
      }).on('error', reject)
    })
  }),
  https: (https) => typeof https.request + typeof https.Agent,
  http2: (http2) => typeof http2.connect,
  stream: (stream) => new Promise((resolve) => stream.pipeline(stream.Readable.from(['a', 'b']), new stream.Transform({ transform: (piece, _, next) => next(null, String(piece).toUpperCase()) }), async (pieces) => { let all = ''; for await (const piece of pieces) all += piece; resolve(all) }, () => {})),
  'stream/promises': (promises) => typeof promises.pipeline,
  events: (events) => { const emitter = new events(); let got; emitter.once('it', (value) => { got = value }); emitter.emit('it', 'heard'); return got },
  util: (util) => util.format('%s %j', util.inspect({ a: [1] }), util.types.isDate(new Date())),
  crypto: (crypto) => [crypto.createHash('sha256').update('a').digest('hex').slice(0, 8), crypto.createHmac('sha1', 'k').update('a').digest('base64').length, crypto.randomBytes(8).length, crypto.randomUUID().length, crypto.timingSafeEqual(Buffer.from('a'), Buffer.from('a'))].join(' '),
  buffer: ({ Buffer }) => Buffer.concat([Buffer.from('aGk=', 'base64'), Buffer.from('ff', 'hex')]).toString('latin1').length,
  url: (url) => new url.URL('/b?c=d', 'http://a').searchParams.get('c') + url.parse('http://h:1/p').port + url.fileURLToPath('file:///x'),
  querystring: (querystring) => querystring.stringify({ a: ['1', '2'] }),
  zlib: (zlib) => [zlib.gunzipSync(zlib.gzipSync('zipped')), zlib.brotliDecompressSync(zlib.brotliCompressSync('brotli')), zlib.inflateRawSync(zlib.deflateRawSync('raw'))].join(' '),
  timers: (timers) => new Promise((resolve) => timers.setTimeout(() => timers.setImmediate(() => resolve('timed')), 1)),
  'timers/promises': (timers) => timers.setTimeout(1, 'promised'),
  os: (os) => typeof os.hostname() + os.EOL.length,
  assert: (assert) => { try { assert.deepStrictEqual({ a: 1 }, { a: 2 }) } catch (error) { return error.code } },
  child_process: (child) => child.execFileSync('/bin/echo', ['from a child'], { encoding: 'utf8' }).trim(),
  async_hooks: ({ AsyncLocalStorage }) => { const storage = new AsyncLocalStorage(); return storage.run('stored', async () => { await null; return storage.getStore() }) },
  perf_hooks: ({ performance }) => performance.now() > 0,
  string_decoder: ({ StringDecoder }) => new StringDecoder('utf8').write(Buffer.from('ü')),
  dns: (dns) => new Promise((resolve) => dns.lookup('localhost', (error, address) => resolve(error ? error.code : typeof address))),
  net: (net) => new Promise((resolve, reject) => { const server = net.createServer((socket) => socket.end('over TCP')).listen(0, '127.0.0.1', () => net.connect(server.address().port, '127.0.0.1').on('error', reject).on('data', (data) => { server.close(); resolve(String(data)) })) }),
  tls: (tls) => typeof tls.connect,
  readline: (readline) => typeof readline.createInterface,
  module: (module) => module.builtinModules.includes('fs') && module.isBuiltin('node:fs'),
  vm: (vm) => vm.runInNewContext('a + 1', { a: 1 }),
  v8: (v8) => v8.deserialize(v8.serialize({ a: 1 })).a,
  worker_threads: ({ Worker, isMainThread }) => new Promise((resolve, reject) => new Worker(`${__dirname}/worker.js`, { workerData: 20 }).on('message', (message) => resolve(`${message} ${typeof isMainThread}`)).on('error', reject)),
  diagnostics_channel: (channels) => channels.channel('c').hasSubscribers,
  process: (process) => [process.platform, typeof process.pid, process.argv.length > 0, process.version.startsWith('v2'), process.env.MINE, process.hrtime.bigint() > 0n, process.memoryUsage().heapUsed > 0, process.uptime() > 0].join(' '),
}
exports.handler = async () => {
  for (const [name, test] of Object.entries(tests)) {
    try { results[name] = await test(require(name)) } catch (error) { results[name] = `${error.stack}` }
    if (require(`node:${name}`) !== require(name)) results[name] = 'another module than with node:'
  }
  return results
}
"#;

#[test]
fn what_node_brings_is_there() {
    let mount = Mount::with("function.js", BUILT_INS).file(
        "worker.js",
        "const { parentPort, workerData } = require('worker_threads')\nparentPort.postMessage(workerData + 22)\n",
    );
    let function = Function::serve_mount(mount, &[("MINE", "mine")]);
    let expected = json!({
        "fs": "text more", "path": "/b/c.txt", "http": "served /x", "https": "functionfunction", "http2": "function",
        "stream": "AB", "stream/promises": "function", "events": "heard", "util": "{ a: [ 1 ] } true",
        "crypto": "ca978112 28 8 36 true", "buffer": 3, "url": "d1/x", "querystring": "a=1&a=2",
        "zlib": "zipped brotli raw", "timers": "timed", "timers/promises": "promised", "os": "string1",
        "assert": "ERR_ASSERTION", "child_process": "from a child", "async_hooks": "stored", "perf_hooks": true,
        "string_decoder": "ü", "dns": "string", "net": "over TCP", "tls": "function", "readline": "function",
        "module": true, "vm": 2, "v8": 1, "worker_threads": "42 boolean", "diagnostics_channel": false,
        "process": "linux number true true mine true true true"
    });
    let got = function.get("/").json();
    let names = expected.as_object().expect("names");
    let wrong: Vec<String> = names
        .iter()
        .filter(|(name, value)| got[name.as_str()] != **value)
        .map(|(name, value)| format!("{name}: {}, not {value}", got[name.as_str()]))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_globals_of_node_are_there() {
    let function = Function::evaluating("const http = require('http')");
    for (expression, value) in [
        ("Buffer.from('a') instanceof Uint8Array", json!(true)),
        (
            "typeof process.nextTick + typeof setImmediate + typeof queueMicrotask + typeof structuredClone",
            json!("functionfunctionfunctionfunction"),
        ),
        ("global === globalThis && typeof window", json!("undefined")),
        // Deno has these where it is not told otherwise; Node.js has none.
        (
            "[typeof GPU, typeof navigator.gpu, typeof OffscreenCanvas, typeof createImageBitmap, typeof Deno.dlopen].join()",
            json!("undefined,undefined,undefined,undefined,undefined"),
        ),
        ("setTimeout(() => {}, 1).unref().constructor.name", json!("Timeout")),
        ("new URL('http://a/b').pathname + new URLSearchParams('a=b').get('a')", json!("/bb")),
        ("new TextDecoder().decode(new TextEncoder().encode('ü'))", json!("ü")),
        ("btoa('hi') + atob('aGk=')", json!("aGk=hi")),
        ("new AbortController().signal.aborted", json!(false)),
        ("new Intl.NumberFormat('de-DE').format(1234.5)", json!("1.234,5")),
        ("new Date(0).toLocaleDateString('en-US', { timeZone: 'UTC' })", json!("1/1/1970")),
        ("'ı'.localeCompare('i', 'tr')", json!(-1)),
        ("performance.now() > 0 && typeof performance.timeOrigin", json!("number")),
        (
            "crypto.subtle.digest('SHA-1', Buffer.from('a')).then((hash) => Buffer.from(hash).toString('hex').slice(0, 6))",
            json!("86f7e4"),
        ),
        (
            "new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)) instanceof WebAssembly.Module",
            json!(true),
        ),
        ("new Response('body', { status: 201 }).text()", json!("body")),
        ("new Blob(['a', 'b']).size", json!(2)),
        ("[new FormData(), new Headers({ a: 'b' })].length", json!(2)),
        ("new (class extends EventTarget {})() instanceof EventTarget", json!(true)),
        (
            "new Promise((resolve, reject) => { const server = http.createServer((request, response) => response.end(request.method)).listen(0, '127.0.0.1', async () => { try { resolve(await (await fetch(`http://127.0.0.1:${server.address().port}`, { method: 'POST', body: 'x' })).text()) } catch (error) { reject(error) } server.close() }) })",
            json!("POST"),
        ),
    ] {
        let answer = function.eval(&format!("(async () => JSON.stringify([await ({expression})]))()"));
        assert_eq!(answer.status, 200, "{expression}\n{:?}", function.host);
        assert_eq!(answer.json()[0], value, "{expression}");
    }
}

#[test]
fn the_environment_of_the_process_is_that_of_the_function() {
    let function = Function::serve_mount(
        Mount::with(
            "function.js",
            "exports.handler = (event) => {\n\
             \x20 if (event['event-id']) process.env.SET = event['event-id']\n\
             \x20 return [process.env.MINE, process.env.NOT_SET ?? null, 'MOD_NAME' in process.env, process.env.SET ?? null, Object.keys(process.env).includes('FUNC_HANDLER')]\n\
             }",
        ),
        &[("MINE", "mïne"), ("FUNC_WORKERS", "1")],
    );
    assert_eq!(function.get("/").json(), json!(["mïne", null, true, null, true]));
    let set = function.request(http::Method::GET, "/").header("event-id", "now").send().json();
    assert_eq!(set, json!(["mïne", null, true, "now", true]));
}
