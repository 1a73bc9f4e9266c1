// Writes to the tables and reads documents through the cache. Prints each document with the number of reads of the database so far.
import pg from 'pg'
import { Cache } from './cache.mjs'

const pool = new pg.Pool()
const cache = new Cache(pool, 'public.order_page')
const show = async (what, id) => console.log(`${what}: ${JSON.stringify(await cache.get(id))} after ${cache.reads} reads`)

await show('first', 1)
await show('again', 1)
await show('another', 2)

await pool.query('UPDATE customer SET name = $1 WHERE id = 2', ['Grace Hopper'])
await show('renamed', 1)
await show('not concerned', 2)

const client = await pool.connect()
await client.query('BEGIN')
await client.query('UPDATE orders SET amount = 1000 WHERE id = 2')
const { rows } = await client.query('SELECT data FROM order_page WHERE id = 2')
console.log(`in the transaction: ${JSON.stringify(rows[0].data)}`)
await client.query('ROLLBACK')
client.release()
await show('rolled back', 2)

await pool.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query = 'SELECT 1'")
await pool.query('DELETE FROM orders WHERE id = 1')
await show('deleted while nobody listened', 1)

await cache.end()
await pool.end()
