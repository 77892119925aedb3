// A function in TypeScript: types are taken out when it is loaded, and stacks still show these lines.
import { type Currency, convert } from './rates.ts'

interface Item {
  article: string
  count: number
  price: number
}

interface Order {
  items: Item[]
  currency?: Currency
}

interface Event<Data> {
  data: Data
  'event-id'?: string
}

const total = (items: readonly Item[]): number => items.reduce((sum, { count, price }) => sum + count * price, 0)

export function handler(event: Event<Order>, context: { 'function-name': string }) {
  const currency = event.data.currency ?? 'EUR'
  return { id: event['event-id'], currency, total: convert(total(event.data.items), currency) }
}
