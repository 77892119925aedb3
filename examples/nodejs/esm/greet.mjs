// An ECMAScript module: `import`, `export`, `await` at the top.
import { readFile } from 'node:fs/promises'

import languages from './languages.json' with { type: 'json' }
import { capitalised } from './text.mjs'

const motto = (await readFile(new URL('motto.txt', import.meta.url), 'utf8')).trim()

export async function handler(event, context) {
  const { request, response } = event.extensions
  const language = request.acceptsLanguages(Object.keys(languages)) || 'en'
  response.set('Content-Language', language)
  return `${languages[language]} ${capitalised(request.query.name || 'stranger')}, ${motto}!`
}
