// The functions that both servers serve.
'use strict'

module.exports = {
  hello: (event, context) => 'hello world',
  echo: (event, context) => ({ echo: event.data }),
}
