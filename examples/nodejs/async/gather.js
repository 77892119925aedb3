// An `async` handler: while it waits, other calls run.
'use strict'

const { setTimeout: sleep } = require('timers/promises')

async function fetched(name, milliseconds) {
  await sleep(milliseconds)
  return name
}

exports.handler = async (event, context) => {
  const names = await Promise.all([fetched('one', 200), fetched('two', 100), fetched('three', 200)])
  return { fetched: names }
}
