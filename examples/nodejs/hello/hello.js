// The smallest function: what it returns is the answer.
'use strict'

module.exports = {
  handler: (event, context) => 'hello world',
}
