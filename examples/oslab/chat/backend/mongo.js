'use strict';
// Messages in MongoDB: a capped collection, which keeps the order of writing, and which
// a cursor follows as `tail -f` does a file.

const { MongoClient } = require('mongodb');

const SIZE = 4 << 20; // bytes of the collection; the oldest messages make room

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

exports.open = (url, recent) => {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 5000 });
  const messages = client.db().collection('messages');
  let following = false;

  async function make() {
    try {
      await client.db().createCollection('messages', { capped: true, size: SIZE });
      await messages.insertOne({ first: true }); // nothing follows an empty collection
    } catch (err) {
      if (err.codeName !== 'NamespaceExists') throw err;
    }
  }

  async function tail(last, tell) {
    await client.connect();
    await make();
    const skip = last.key === undefined ? Math.max(0, (await messages.countDocuments({})) - recent) : 0;
    let passed = last.key === undefined; // what was told before a connection broke is passed over
    let n = 0;
    const cursor = messages.find({}, { tailable: true, awaitData: true, maxAwaitTimeMS: 1000 });
    try {
      following = true;
      while (!cursor.closed) {
        const m = await cursor.tryNext(); // null: nothing came for a while
        if (m === null) continue;
        if (!passed) {
          passed = m._id.equals(last.key);
          continue;
        }
        last.key = m._id;
        if (++n <= skip || m.first) continue;
        tell({ id: m._id.toString(), name: m.name, text: m.text });
      }
    } finally {
      await cursor.close().catch(() => {});
    }
  }

  return {
    ready: () => following,
    save: (name, text) => messages.insertOne({ name, text, at: new Date() }),
    follow: async (tell) => {
      const last = {};
      for (;;) {
        try {
          await tail(last, tell); // a server may end a cursor; the next one goes on from there
        } catch (err) {
          following = false;
          console.error('database: %s', err.message);
        }
        await pause(500);
      }
    },
  };
};
