// The functions for servers that turn a Request into a Response: Deno, Bun and workerd.

const PIECES = 25
const PIECE = new Uint8Array(4096).fill('x'.charCodeAt(0))

// As in work.js, which workerd cannot load.
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

export const functions = {
  hello: () => new Response('hello'),
  echo: async (request) => Response.json(await request.json()),
  mirror: async (request) => new Response(await request.arrayBuffer()),
  stream: () => {
    let left = PIECES
    return new Response(new ReadableStream({
      pull (controller) {
        if (left-- > 0) controller.enqueue(PIECE.slice())
        else controller.close()
      },
    }))
  },
  wait: async () => {
    await new Promise((resolve) => setTimeout(resolve, 10))
    return new Response('slept')
  },
  mandelbrot: () => new Response(mandelbrot()),
  fail: () => { throw new Error('as asked') },
}
