'use strict';
// The backend: takes messages over a WebSocket, keeps them in the database, and tells
// every client of every message, whichever backend it came in by.

const fs = require('node:fs');
const http = require('node:http');
const { WebSocketServer, WebSocket } = require('ws');

const MAX_TEXT = 1000; // characters of a message
const RECENT = 100; // messages that a new client gets

function openStore() {
  const url = new URL(process.env.DATABASE_URL);
  url.password = encodeURIComponent(fs.readFileSync(process.env.PASSWORD_FILE, 'utf8').replace(/\n$/, ''));
  const kind = url.protocol === 'mongodb:' ? './mongo.js' : './postgres.js';
  return require(kind).open(url.href, RECENT);
}

function main() {
  const store = openStore();
  const recent = [];
  const server = http.createServer((req, res) => {
    const ready = req.url === '/healthz' && store.ready();
    res.writeHead(ready ? 200 : req.url === '/healthz' ? 503 : 404).end(ready ? 'ok\n' : 'no\n');
  });
  const sockets = new WebSocketServer({ server, path: '/ws', maxPayload: 16 << 10 });

  store.follow((message) => {
    recent.push(message);
    if (recent.length > RECENT) recent.shift();
    const text = JSON.stringify(message);
    for (const client of sockets.clients) if (client.readyState === WebSocket.OPEN) client.send(text);
  });

  sockets.on('connection', (socket, req) => {
    // The gate sets the header, and nobody gets here but through it.
    const name = String(req.headers['x-forwarded-user'] || 'anonymous').slice(0, 100);
    for (const message of recent) socket.send(JSON.stringify(message));
    socket.on('message', async (data) => {
      try {
        const { text } = JSON.parse(data);
        if (typeof text === 'string' && text !== '') await store.save(name, text.slice(0, MAX_TEXT));
      } catch (err) {
        console.error('message of %s: %s', name, err.message);
        socket.close(1011, 'not kept');
      }
    });
    socket.on('error', (err) => console.error('socket of %s: %s', name, err.message));
  });

  // A proxy in between closes connections on which nothing is said.
  setInterval(() => { for (const client of sockets.clients) client.ping(); }, 20000);

  server.listen(Number(process.env.PORT), () => console.log('listening on port %s', process.env.PORT));
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
}

main();
