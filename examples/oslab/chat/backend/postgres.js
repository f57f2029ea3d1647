'use strict';
// Messages in PostgreSQL. A backend that has written one notifies the others.

const { Client, Pool } = require('pg');

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

exports.open = (url, recent) => {
  const pool = new Pool({ connectionString: url, max: 4 });
  pool.on('error', (err) => console.error('database: %s', err.message));
  let following = false;

  // One connection listens; what came while there was none is read when there is one again.
  async function listen(last, tell) {
    const client = new Client({ connectionString: url });
    const ended = new Promise((_, fail) => {
      client.on('error', fail);
      client.on('end', () => fail(new Error('connection ended')));
    });
    ended.catch(() => {});
    let turn = Promise.resolve();
    const read = () => {
      turn = turn.then(async () => {
        const { rows } = await client.query('SELECT id::int, name, text FROM messages WHERE id > $1 ORDER BY id', [last.id]);
        for (const row of rows) { last.id = row.id; tell(row); }
      });
      return turn;
    };
    try {
      await client.connect();
      await client.query('SELECT pg_advisory_lock(1)'); // two backends may be the first
      await client.query('CREATE TABLE IF NOT EXISTS messages (id bigserial PRIMARY KEY, name text NOT NULL, text text NOT NULL, at timestamptz NOT NULL DEFAULT now())');
      await client.query('SELECT pg_advisory_unlock(1)');
      await client.query('LISTEN messages');
      if (last.id === undefined) {
        const { rows } = await client.query('SELECT coalesce(min(id), 1)::int - 1 AS id FROM (SELECT id FROM messages ORDER BY id DESC LIMIT $1) AS m', [recent]);
        last.id = rows[0].id;
      }
      client.on('notification', () => read().catch(() => {}));
      await read();
      following = true;
      await ended;
    } finally {
      following = false;
      await client.end().catch(() => {});
    }
  }

  return {
    ready: () => following,
    // Writers take turns, so that ids appear in their order and none is passed over.
    save: async (name, text) => {
      const client = await pool.connect();
      try {
        await client.query('BEGIN');
        await client.query('LOCK TABLE messages IN SHARE ROW EXCLUSIVE MODE');
        await client.query('INSERT INTO messages (name, text) VALUES ($1, $2)', [name, text]);
        await client.query('NOTIFY messages');
        await client.query('COMMIT');
        client.release();
      } catch (err) {
        client.release(err);
        throw err;
      }
    },
    follow: async (tell) => {
      const last = {};
      for (;;) {
        try {
          await listen(last, tell);
        } catch (err) {
          console.error('database: %s', err.message);
        }
        await pause(500);
      }
    },
  };
};
