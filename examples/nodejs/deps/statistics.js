// A function with a dependency: what `package.json` names is installed into the mount, where it is found.
'use strict'

const _ = require('lodash')

module.exports = {
  handler(event, context) {
    const words = _.words(event.data.text || 'the quick brown fox jumps over the lazy dog')
    return {
      words: words.length,
      longest: _.maxBy(words, 'length'),
      repeated: _.keys(_.pickBy(_.countBy(words), (count) => count > 1)),
    }
  },
}
