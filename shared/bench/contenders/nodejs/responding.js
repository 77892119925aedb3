// The functions as Kubeless has them, with those that ask for their request or response.
'use strict'

const { Readable } = require('stream')
const { pipeline } = require('stream/promises')
const functions = require('./functions')
const work = require('./work')

module.exports = {
  ...functions,
  stream: ({ extensions }) => pipeline(Readable.from(work.pieces()), extensions.response),
  storm: ({ extensions }) => {
    if (extensions.request.path === '/spin') for (;;);
    return 'ok'
  },
}
