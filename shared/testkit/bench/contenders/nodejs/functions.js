// The functions as Kubeless has them: for funchost-nodejs and for the Kubeless shape.
'use strict'

const { Readable } = require('stream')
const { pipeline } = require('stream/promises')
const work = require('./work')

module.exports = {
  hello: () => 'hello',
  echo: (event) => event.data,
  mirror: (event) => event.data,
  stream: ({ extensions }) => pipeline(Readable.from(work.pieces()), extensions.response),
  wait: async () => {
    await work.sleep(10)
    return 'slept'
  },
  mandelbrot: () => work.mandelbrot(),
  fail: () => { throw new Error('as asked') },
  storm: ({ extensions }) => {
    if (extensions.request.path === '/spin') for (;;);
    return 'ok'
  },
}
