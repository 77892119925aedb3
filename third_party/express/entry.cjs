// What of Express the Node.js host uses; refresh.sh bundles it into express.cjs.
'use strict'

module.exports = {
  // Express itself: `express()` makes an app, whose `request` and `response` are the prototypes of what functions get.
  express: require('express'),
  // The middleware that every app of Express 4 starts with: `init(app)` gives request and response their prototypes,
  // `query(parser)` fills `request.query`.
  init: require('express/lib/middleware/init').init,
  query: require('express/lib/middleware/query'),
  // As in package.json.
  version: require('express/package.json').version,
}
