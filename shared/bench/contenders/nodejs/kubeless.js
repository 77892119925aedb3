// A server in the shape of Kubeless' Node.js runtime: Express 4, and for each call a context of its own for the part
// that runs at once, with a time limit that ends the process. It has no metrics and writes no access log.
//
// Usage: kubeless.js PORT FUNCTION
'use strict'

const vm = require('vm')
const bodies = require('body-parser')
const express = require('express')

const [port, name] = process.argv.slice(2)
const timeout = Number(process.env.FUNC_TIMEOUT || '180')
const script = new vm.Script("\ncall(require('./responding'))\n")

const app = express()
app.use(bodies.raw({ type: (request) => !request.is('multipart/*'), limit: '1mb' }))
app.all('*', (request, response) => {
  response.header('Access-Control-Allow-Origin', '*')
  const failed = (error) => {
    console.error(`Function failed to execute: ${error.stack}`)
    if (response.headersSent) response.destroy()
    else response.status(500).send('Internal Server Error')
  }
  const finish = (result) => {
    if (response.finished) return
    if (typeof result === 'string') response.end(result)
    else if (typeof result === 'object') response.json(result)
    else response.end()
  }
  // Called by the script: what the handler does at once is under the script's time limit.
  const call = (functions) => {
    const text = Buffer.isBuffer(request.body) ? request.body.toString() : ''
    const event = {
      data: request.is('application/json') ? JSON.parse(text) : text,
      'event-id': request.get('event-id'),
      'event-type': request.get('event-type'),
      'event-time': request.get('event-time'),
      'event-namespace': request.get('event-namespace'),
      extensions: { request, response },
    }
    Promise.resolve(functions[name](event, { 'function-name': name, timeout })).then(finish, failed)
  }
  try {
    script.runInNewContext({ call, require, console, process }, { timeout: timeout * 1000 })
  } catch (error) {
    if (error.code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') return failed(error)
    response.status(408).send(error)
    console.error('the function does not stop: this ends the process')
    process.exit(1)
  }
})
app.listen(Number(port), '127.0.0.1')
