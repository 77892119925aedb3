// For Bun. Usage: bun.mjs PORT FUNCTION
import { functions } from './fetch.mjs'

const [port, name] = process.argv.slice(2)
Bun.serve({ port: Number(port), hostname: '127.0.0.1', development: false, fetch: functions[name] })
