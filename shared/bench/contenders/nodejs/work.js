// What the functions do, whatever server calls them. In a form that every loader takes: it is required and imported.
'use strict'

const PIECES = 25
const PIECE = Buffer.alloc(4096, 'x')

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

// How many steps all points of a small picture take together.
function mandelbrot () {
  let steps = 0
  for (let row = 0; row < 64; row++) {
    const ci = row / 32 - 1
    for (let column = 0; column < 80; column++) {
      const cr = column / 32 - 2
      let zr = 0
      let zi = 0
      for (let step = 0; step < 50; step++) {
        const rr = zr * zr
        const ii = zi * zi
        if (rr + ii > 4) break
        zi = 2 * zr * zi + ci
        zr = rr - ii + cr
        steps++
      }
    }
  }
  return String(steps)
}

function * pieces () {
  for (let number = 0; number < PIECES; number++) yield PIECE
}

module.exports = { sleep, mandelbrot, pieces }
