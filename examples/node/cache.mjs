// Documents of a TVIEW by id, read once and kept until the change feed names them. Called by use.mjs.
import pg from 'pg'

export class Cache {
  #documents = new Map()
  #listener = null
  reads = 0

  constructor(pool, tview) {
    this.pool = pool
    this.tview = tview
  }

  // A connection of its own: when it breaks, what was said meanwhile is lost, so everything is forgotten and it is made again.
  async listen() {
    const listener = new pg.Client(this.pool.options)
    listener.on('notification', message => this.#forget(JSON.parse(message.payload)))
    listener.on('error', () => {
      this.#listener = null
      this.#documents.clear()
    })
    await listener.connect()
    await listener.query('LISTEN tviews')
    this.#documents.clear()
    this.#listener = listener
  }

  #forget(change) {
    if (change.tview !== this.tview) return
    if (change.op === 'all') this.#documents.clear()
    else for (const key of change.keys) this.#documents.delete(key.id)
  }

  // Without a listener nothing may be kept. The query makes the server send what it has to say, so that whoever has written reads what they wrote.
  async get(id) {
    if (this.#listener) await this.#listener.query('SELECT 1').catch(() => {})
    if (!this.#listener) await this.listen()
    if (!this.#documents.has(id)) {
      this.reads += 1
      const { rows } = await this.pool.query(`SELECT data FROM ${this.tview} WHERE id = $1`, [id])
      this.#documents.set(id, rows[0]?.data)
    }
    return this.#documents.get(id)
  }

  async end() {
    await this.#listener?.end()
  }
}
