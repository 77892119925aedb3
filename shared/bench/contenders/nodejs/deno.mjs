// For `deno serve`. FUNCTION says which function is served.
import { functions } from './fetch.mjs'

export default { fetch: functions[Deno.env.get('FUNCTION')] }
