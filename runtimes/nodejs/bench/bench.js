// What the Node.js host is measured against, and how starting is measured.
//
//   bench.js serve PORT HANDLER        a function of app.js, served by Express as Kubeless' Node.js runtime does
//   bench.js start PORT COMMAND...     starts a server again and again: time to its first answer, memory when idle
//   bench.js end COMMAND...            runs a program again and again: time to its end
'use strict'

const { spawn } = require('child_process')
const { once } = require('events')
const fs = require('fs')
const http = require('http')

const STARTS = 20

const [what, ...words] = process.argv.slice(2)
if (what === 'serve' && words.length === 2) serve(...words)
else if (what === 'start' && words.length > 1) start(...words)
else if (what === 'end' && words.length > 0) end(words)
else {
  console.error('usage: bench.js serve PORT HANDLER | bench.js start PORT COMMAND... | bench.js end COMMAND...')
  process.exitCode = 64
}

function serve(port, name) {
  const bodies = require('body-parser')
  const express = require('express')
  const handler = require('./app')[name]
  const app = express()
  app.use(bodies.raw({ type: (request) => !request.is('multipart/*'), limit: '1mb' }))
  app.get(['/healthz', '/readyz'], (request, response) => response.send('OK'))
  app.all('*', async (request, response) => {
    const data = request.is('application/json') ? JSON.parse(request.body) : request.body
    const event = {
      data,
      'event-id': request.get('event-id'),
      'event-type': request.get('event-type'),
      'event-time': request.get('event-time'),
      'event-namespace': request.get('event-namespace'),
      extensions: { request, response },
    }
    response.set('Access-Control-Allow-Origin', '*')
    const result = await handler(event, { 'function-name': name, timeout: 180 })
    if (typeof result === 'string') response.end(result)
    else response.json(result)
  })
  app.listen(Number(port), '127.0.0.1')
}

async function start(port, ...command) {
  const times = []
  const memory = []
  for (let number = 0; number < STARTS; number++) {
    const { took, resident } = await startOnce(port, command)
    times.push(took)
    memory.push(resident)
  }
  memory.sort((a, b) => a - b)
  console.log(`first answer after ${spread(times)}, idle with ${(memory[STARTS / 2] / 1024).toFixed(1)} MB`)
}

async function startOnce(port, [program, ...args]) {
  if (await status(port)) throw new Error(`port ${port} is taken`)
  const began = performance.now()
  const server = spawn(program, args, { stdio: 'ignore' })
  const ended = once(server, 'exit')
  try {
    while ((await status(port)) !== 200) {
      if (performance.now() - began > 10_000) throw new Error(`no answer within 10 s from ${program}`)
      // Nobody listens yet.
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    const took = performance.now() - began
    const [, resident] = /^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${server.pid}/status`, 'utf8'))
    return { took, resident: Number(resident) }
  } finally {
    server.kill()
    await ended
  }
}

// Of the answer, or nothing when there is none.
function status(port) {
  return new Promise((resolve) => {
    const request = http.get({ host: '127.0.0.1', port, path: '/', agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode))
    })
    request.on('error', () => resolve(undefined))
  })
}

async function end([program, ...args]) {
  const times = []
  for (let number = 0; number < STARTS; number++) {
    const began = performance.now()
    await once(spawn(program, args, { stdio: 'ignore' }), 'exit')
    times.push(performance.now() - began)
  }
  console.log(`ends after ${spread(times)}`)
}

// The middle one, the least and the most, in milliseconds.
function spread(times) {
  times.sort((a, b) => a - b)
  const [middle, least, most] = [times[STARTS / 2], times[0], times.at(-1)].map((time) => time.toFixed(1))
  return `${middle} ms (${least} to ${most})`
}
