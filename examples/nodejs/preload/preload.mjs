// A module that takes long to load. It does so once, before the host says it is ready; calls are fast.
import { setTimeout as sleep } from 'node:timers/promises'

console.log('loading a large model ...')
await sleep(4000)
const model = { answer: 42 }
console.log('... loaded')

export function handler(event, context) {
  return model
}
