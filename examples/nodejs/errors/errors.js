// What can go wrong: the client learns little, the log learns all.
'use strict'

module.exports = {
  async handler(event, context) {
    const { request, response } = event.extensions
    switch (request.query.kind) {
      case 'refused':
        return void response.status(403).send('not with that ticket')
      case 'elsewhere':
        return void response.redirect('/elsewhere')
      case 'validation':
        // The status is kept when the answer is what the function returns.
        response.status(422)
        return { error: 'name is missing' }
      case 'later':
        setTimeout(() => { throw new Error('nobody waits for this any more') }, 10)
        return 'answered'
      case 'exit':
        process.exit(1)
      case 'endless':
        for (;;);
      case 'never':
        await new Promise(() => {})
    }
    throw new Error('a bug with a secret in its message')
  },
}
