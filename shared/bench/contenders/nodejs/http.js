// The functions on node:http alone.
//
// Usage: http.js PORT FUNCTION
'use strict'

const http = require('http')
const { Readable } = require('stream')
const { pipeline } = require('stream/promises')
const work = require('./work')

async function bodyOf (request) {
  const pieces = []
  for await (const piece of request) pieces.push(piece)
  return Buffer.concat(pieces)
}

const functions = {
  hello: (request, response) => response.end('hello'),
  echo: async (request, response) => {
    const data = JSON.parse(await bodyOf(request))
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify(data))
  },
  mirror: async (request, response) => response.end(await bodyOf(request)),
  stream: (request, response) => pipeline(Readable.from(work.pieces()), response),
  wait: async (request, response) => {
    await work.sleep(10)
    response.end('slept')
  },
  mandelbrot: (request, response) => response.end(work.mandelbrot()),
  fail: () => { throw new Error('as asked') },
}

const [port, name] = process.argv.slice(2)
const handler = functions[name]
http.createServer(async (request, response) => {
  try {
    await handler(request, response)
  } catch (error) {
    response.statusCode = 500
    response.end('Internal Server Error')
  }
}).listen(Number(port), '127.0.0.1')
