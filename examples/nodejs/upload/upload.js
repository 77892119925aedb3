// A form with a file, read by multer as in any Express app.
'use strict'

const { promisify } = require('util')
const multer = require('multer')

const readForm = promisify(multer({ storage: multer.memoryStorage(), limits: { fileSize: 100_000 } }).single('file'))

module.exports = {
  async handler(event, context) {
    const { request, response } = event.extensions
    await readForm(request, response)
    if (!request.file) return void response.status(400).type('text/plain').send('the form has no file\n')
    // The name has been cleaned: no path of the client's making gets this far.
    const { originalname, mimetype, size } = request.file
    return { title: request.body.title, name: originalname, type: mimetype, size }
  },
}
