// A stream, piped into the response: every piece is sent when it is made. The generator's `finally` runs also when the
// client leaves early.
'use strict'

const { Readable } = require('stream')
const { pipeline } = require('stream/promises')
const { setTimeout: sleep } = require('timers/promises')

async function* count(start) {
  try {
    for (let number = start; number > 0; number--) {
      yield `data: ${number}\n\n`
      await sleep(50)
    }
    yield 'data: lift-off\n\n'
  } finally {
    console.log('countdown over')
  }
}

module.exports = {
  async handler(event, context) {
    const { request, response } = event.extensions
    response.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    await pipeline(Readable.from(count(Number(request.query.from || 3))), response)
  },
}
