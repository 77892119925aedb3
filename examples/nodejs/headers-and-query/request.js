// `event.extensions.request` is an Express request: path, query, headers and more.
'use strict'

module.exports = {
  handler(event, context) {
    const { request } = event.extensions
    const [scheme, credentials = ''] = (request.get('Authorization') || '').split(' ')
    return {
      greeting: `hello ${request.query.name || 'stranger'}`,
      method: request.method,
      path: request.path,
      decoded: request.params[0],
      agent: request.get('User-Agent'),
      forwarded: request.headers['x-forwarded-for'] || null,
      filter: request.query.filter,
      tags: [].concat(request.query.tag || []),
      'signed in as': scheme === 'Basic' ? Buffer.from(credentials, 'base64').toString().split(':')[0] : null,
      json: request.accepts('html', 'json') === 'json',
    }
  },
}
