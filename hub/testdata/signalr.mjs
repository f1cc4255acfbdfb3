// Drives Microsoft's own SignalR client against a hub. Arguments: the server's address, a folder below which
// node_modules holds @microsoft/signalr. The server offers test doors: POST /test/<act> (see signalr_test.go).
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [base, root] = process.argv.slice(2)
const signalR = createRequire(join(root, 'package.json'))('@microsoft/signalr')
if (signalR.VERSION !== '10.0.11') console.log(`note: client version ${signalR.VERSION}`)

const patience = 20_000
let failures = 0

function check(what, ok, seen = '') {
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${what} ${ok ? '' : seen}`)
  if (!ok) failures++
}

async function until(what, condition) {
  const start = Date.now()
  while (!condition()) {
    if (Date.now() - start > patience) throw new Error(`in vain waited until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

async function act(name, query = {}) {
  const response = await fetch(`${base}/test/${name}?${new URLSearchParams(query)}`, { method: 'POST' })
  if (!response.ok) throw new Error(`${name}: ${response.status} ${await response.text()}`)
  return response.text()
}

// A screen as a page makes it: it drops its list when the connection is gone, and is live once it is synced.
function screen(topic, { http = {}, endless = true, stateful = false } = {}) {
  const url = `${base}/ordermonitorhub?consumergroup=boston&topic=${topic}`
  let builder = new signalR.HubConnectionBuilder().withUrl(url, http).configureLogging(signalR.LogLevel.None)
  const s = { orders: [], live: false, reconnecting: 0, reconnected: 0, attempts: 0, closed: 0, error: undefined }
  if (endless) {
    builder = builder.withAutomaticReconnect({
      nextRetryDelayInMilliseconds: ({ previousRetryCount }) => {
        s.attempts++
        return Math.min(20 * previousRetryCount, 200)
      },
    })
  }
  if (stateful) builder = builder.withStatefulReconnect()
  const forget = () => Object.assign(s, { orders: [], live: false })
  s.connection = builder.build()
  for (const method of ['InformNewOrderToMix', 'InformNewOrderToBake']) {
    s.connection.on(method, (order) => {
      s.orders = [...s.orders.filter(({ id }) => id !== order.id), order]
    })
  }
  s.connection.on('InformOrderLeft', (id) => { s.orders = s.orders.filter((order) => order.id !== id) })
  s.connection.on('InformSynced', ({ waiting }) => {
    check(`${topic}: synced with as many orders as announced`, waiting === s.orders.length, `${waiting}, ${s.orders.length}`)
    s.live = true
  })
  s.connection.onreconnecting((error) => { s.reconnecting++; s.error = error; forget() })
  s.connection.onreconnected(() => { s.reconnected++ })
  s.connection.onclose((error) => { s.closed++; s.error = error; forget() })
  s.ids = () => s.orders.map(({ id }) => id).join()
  return s
}

async function snapshotAndEvents() {
  await act('put', { topic: 'mix', id: 'a' })
  await act('put', { topic: 'mix', id: 'b' })
  const s = screen('mix')
  await s.connection.start()
  check('negotiated a connection id', !!s.connection.connectionId)
  await until('live', () => s.live)
  check('snapshot, oldest first', s.ids() === 'a,b', s.ids())
  await act('put', { topic: 'mix', id: 'c' })
  await until('c is there', () => s.ids() === 'a,b,c')
  await act('move', { from: 'mix', to: 'bake', id: 'a' })
  await until('a is gone', () => s.ids() === 'b,c')
  const refusal = await s.connection.invoke('Cook', 1).then(() => '', (error) => error.message)
  check('an invocation of nothing is refused', refusal.includes('Unknown hub method'), refusal)
  const answer = await s.connection.invoke('Claim', 'b')
  check('an invocation is answered', answer.id === 'b' && answer.topic === 'mix', JSON.stringify(answer))
  const taken = await s.connection.invoke('Claim', 'taken').then(() => '', (error) => error.message)
  check('an invocation may fail', taken.includes('Ana is on it'), taken)
  const streamed = await new Promise((resolve) => {
    s.connection.stream('Cook').subscribe({ next: () => resolve('next'), complete: () => resolve('complete'), error: (e) => resolve(e.message) })
  })
  check('a stream is refused', streamed.includes('Unknown hub method'), streamed)
  return s
}

async function cutAndReconnect(s) {
  const before = s.connection.connectionId
  await act('cut') // without a word
  await act('put', { topic: 'mix', id: 'd' }) // while it is away
  await until('reconnected', () => s.reconnected === 1 && s.live)
  check('a new connection id', s.connection.connectionId !== before)
  await until('all orders are there', () => s.ids() === 'b,c,d')
  await act('lose') // a gap: close with allowReconnect
  await until('reconnected', () => s.reconnected === 2 && s.live)
  check('the reason arrives', String(s.error).includes('lost track'), s.error)
  check('all orders are there after a gap', s.ids() === 'b,c,d', s.ids())
}

// A client that is turned away at its handshake must back off: its attempt counts as failed.
async function notReady(s) {
  await act('ready', { is: 'no' })
  const attempts = s.attempts
  await act('cut')
  await until('several attempts failed', () => s.attempts >= attempts + 4)
  check('no attempt counts as a reconnection while the source is not ready', s.reconnected === 2, s.reconnected)
  const first = screen('mix')
  const started = await first.connection.start().then(() => true, () => false)
  check('a first start fails while the source is not ready', !started && first.connection.state === 'Disconnected', first.connection.state)
  await act('ready', { is: 'yes' })
  await until('reconnected', () => s.reconnected === 3 && s.live)
  check('all orders are there once the source is ready', s.ids() === 'b,c,d', s.ids())
}

// A screen that names its last position when it comes back: the address of a connection may be set while it reconnects.
async function resume() {
  const url = (after) => `${base}/ordermonitorhub?topic=mix&after=${after}`
  let position = ''
  let heard = []
  const synced = []
  const connection = new signalR.HubConnectionBuilder().withUrl(url('')).configureLogging(signalR.LogLevel.None)
    .withAutomaticReconnect([20, 20, 20]).build()
  connection.onreconnecting(() => { connection.baseUrl = url(position) })
  const hear = (what) => (argument, at) => {
    heard.push(what === 'synced' ? what : `${what} ${argument.id ?? argument}`)
    if (what === 'synced') synced.push(argument.resumed)
    position = at ?? position
  }
  connection.on('InformNewOrderToMix', hear('arrived'))
  connection.on('InformOrderLeft', hear('left'))
  connection.on('InformSynced', hear('synced'))
  await connection.start()
  await until('live', () => synced.length === 1)
  check('first a snapshot', heard.join() === 'arrived b,arrived c,arrived d,synced' && synced[0] === false, heard)
  heard = []
  await act('cut')
  await act('put', { topic: 'mix', id: 'e' })
  await act('move', { from: 'mix', to: 'bake', id: 'e' })
  await until('live again', () => synced.length === 2)
  check('then what was missed', heard.join().startsWith('arrived e') && synced[1] === true, heard)
  await until('e left', () => heard.at(-1) === 'left e' || heard.at(-1) === 'synced')
  check('in order, and nothing else', ['arrived e,left e,synced', 'arrived e,synced,left e'].includes(heard.join()), heard)
  heard = []
  position = `another-${position.split('-')[1]}`
  await act('cut')
  await until('live once more', () => synced.length === 3)
  check('a snapshot for the position of another hub', heard.join() === 'arrived b,arrived c,arrived d,synced' && synced[2] === false, heard)
  await connection.stop()
}

async function skipNegotiation() {
  const s = screen('bake', { http: { skipNegotiation: true, transport: signalR.HttpTransportType.WebSockets } })
  await s.connection.start()
  await until('live', () => s.live)
  check('snapshot without negotiation', s.ids() === 'a,e', s.ids())
  await s.connection.stop()
  check('stopped in order', s.closed === 1 && s.error === undefined, s.error)
}

async function statefulReconnect() {
  for (const http of [{}, { skipNegotiation: true, transport: signalR.HttpTransportType.WebSockets }]) {
    const s = screen('bake', { http, stateful: true })
    await s.connection.start()
    await until('live', () => s.live)
    check('stateful reconnect falls back: snapshot', s.ids() === 'a,e', s.ids())
    await act('cut')
    await until('reconnected', () => s.reconnected === 1 && s.live)
    check('stateful reconnect falls back: reconnected plainly', s.ids() === 'a,e', s.ids())
    await s.connection.stop()
  }
}

async function unknownTopic() {
  const s = screen('frying')
  const reason = await s.connection.start().then(() => '', (error) => error.message)
  check('an unknown topic ends the start with the list of topics', reason.includes('mix, bake'), reason)
  check('an unknown topic is not tried again', s.connection.state === 'Disconnected' && s.attempts === 0, s.connection.state)
}

async function shutdown(s) {
  await act('shutdown')
  await until('told to reconnect', () => s.reconnecting >= 4)
  check('the reason of the shutdown arrives', String(s.error).includes('shutting down'), s.error)
  const attempts = s.attempts
  await until('it goes on trying', () => s.attempts >= attempts + 2)
  await s.connection.stop()
}

try {
  const s = await snapshotAndEvents()
  await cutAndReconnect(s)
  await notReady(s)
  await resume()
  await skipNegotiation()
  await statefulReconnect()
  await unknownTopic()
  await shutdown(s)
} catch (error) {
  check(error.stack, false)
}
console.log('done')
process.exit(failures ? 1 : 0)
