'use strict';
// Succeeds if the backend says that it works.
require('node:http').get({ port: process.env.PORT, path: '/healthz', timeout: 3000 }, (res) => process.exit(res.statusCode === 200 ? 0 : 1))
  .on('error', () => process.exit(1));
