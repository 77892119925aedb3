// The functions behind Fastify.
//
// Usage: fastify.js PORT FUNCTION
'use strict'

const { Readable } = require('stream')
const work = require('./work')

const functions = {
  hello: async () => 'hello',
  echo: async (request) => request.body,
  mirror: async (request) => request.body,
  stream: async () => Readable.from(work.pieces()),
  wait: async () => {
    await work.sleep(10)
    return 'slept'
  },
  mandelbrot: async () => work.mandelbrot(),
  fail: async () => { throw new Error('as asked') },
}

const [port, name] = process.argv.slice(2)
const app = require('fastify')({ logger: false })
app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (request, body, done) => done(null, body))
app.all('/*', functions[name])
app.listen({ port: Number(port), host: '127.0.0.1' })
