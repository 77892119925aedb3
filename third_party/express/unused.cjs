// Stands in the bundle for packages that Express loads at its start and the host never calls.
'use strict'

module.exports = {}
