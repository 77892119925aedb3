// What the request brings: `event.data` is parsed when it is JSON, a string when it is text, else a Buffer.
'use strict'

module.exports = {
  handler(event, context) {
    const { data } = event
    console.log('got a', typeof data, 'of type', event['event-type'], 'for', context['function-name'])
    if (Buffer.isBuffer(data)) return `${data.length} bytes: ${data.toString('hex')}`
    if (typeof data === 'string') return `${data.length} characters: ${data}`
    return { 'you sent': data, 'event-id': event['event-id'], timeout: context.timeout }
  },
}
