// For workerd. The variable FUNCTION says which function is served.
import { functions } from './fetch.mjs'

export default { fetch: (request, env) => functions[env.FUNCTION](request) }
