// Does to its process what the path says.

const { spawn } = require('child_process')
const fs = require('fs')
const { Readable } = require('stream')

const spin = () => { for (;;); }
const never = () => new Promise(() => {})

const faults = {
  ok: () => 'ok',
  spin,
  block: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
  swallow: () => { for (;;) { try { spin() } catch {} } },
  recurse: () => faults.recurse() + 1,
  allocate: () => { for (const all = []; ;) all.push(new Array(1000).fill({ a: all.length })) },
  exit: () => process.exit(0),
  abort: () => process.abort(),
  segfault: () => { process.kill(process.pid, 'SIGSEGV'); return never() },
  close: () => {
    for (let fd = 0; fd < 4096; fd++) { try { fs.closeSync(fd) } catch {} }
    return never()
  },
  panic: () => new Promise((resolve) => {
    setTimeout(() => { throw new Error('in a timer') }, 0)
    setTimeout(resolve, 50)
  }),
  flood: () => { for (let i = 0; i < 100; i++) process.stdout.write('a'.repeat(1 << 20)) },
  outlive: () => { for (let i = 0; i < 100; i++) setInterval(() => {}, 1) },
  sigterm: () => { process.on('SIGTERM', () => {}); process.on('SIGINT', () => {}) },
  // Node.js has no fork; a child that outlives its parent and holds its output is what comes nearest.
  fork: () => { spawn('sleep', ['600'], { detached: true, stdio: 'inherit' }).unref() },
  chdir: () => process.chdir('/'),
  umask: () => { process.umask(0o777) },
  endless: (response) => Readable.from(function * () { for (;;) yield Buffer.alloc(65536) }()).pipe(response),
}

exports.handler = async (event) => {
  const { request, response } = event.extensions
  return await faults[request.path.slice(1)](response) ?? 'done'
}
