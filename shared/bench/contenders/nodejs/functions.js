// The functions as Kubeless has them: for funchost-nodejs and for the Kubeless shape. What asks for its request or response
// is in responding.js: a file that does costs a host more to load.
'use strict'

const work = require('./work')

module.exports = {
  hello: () => 'hello',
  echo: (event) => event.data,
  mirror: (event) => event.data,
  wait: async () => {
    await work.sleep(10)
    return 'slept'
  },
  mandelbrot: () => work.mandelbrot(),
  fail: () => { throw new Error('as asked') },
}
