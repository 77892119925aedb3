// The functions as functions-framework has them: over Express' request and response.
'use strict'

const { Readable } = require('stream')
const { pipeline } = require('stream/promises')
const work = require('./work')

exports.hello = (request, response) => { response.send('hello') }
exports.echo = (request, response) => { response.json(request.body) }
exports.mirror = (request, response) => { response.send(request.rawBody) }
exports.stream = (request, response) => pipeline(Readable.from(work.pieces()), response)
exports.wait = async (request, response) => {
  await work.sleep(10)
  response.send('slept')
}
exports.mandelbrot = (request, response) => { response.send(work.mandelbrot()) }
exports.fail = () => { throw new Error('as asked') }
