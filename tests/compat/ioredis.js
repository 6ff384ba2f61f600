// What a Node program does with ioredis: run by ioredis_test.py, which names the port.
const assert = require('node:assert');
const Redis = require('ioredis');

const port = Number(process.env.PORT);
const connect = (options = {}) => new Redis({ port, host: '127.0.0.1', maxRetriesPerRequest: 1, ...options });

const cases = {
  async 'values keep every byte'(redis) {
    const bytes = Buffer.from(Array.from({ length: 70000 }, (_, i) => i % 256));
    assert.strictEqual(await redis.set('bytes', bytes), 'OK');
    assert.ok((await redis.getBuffer('bytes')).equals(bytes));
    assert.strictEqual(await redis.get('absent'), null);
  },

  async 'a hash comes back as an object'(redis) {
    assert.strictEqual(await redis.hset('h', { one: 1, two: 2 }), 2);
    assert.deepStrictEqual(await redis.hgetall('h'), { one: '1', two: '2' });
  },

  async 'a pipeline answers in order, errors in their place'(redis) {
    const answers = await redis.pipeline().set('n', 5).incr('n').hget('n', 'f').get('n').exec();
    assert.deepStrictEqual([answers[0][1], answers[1][1], answers[3][1]], ['OK', 6, '6']);
    assert.match(answers[2][0].message, /^WRONGTYPE/);
  },

  async 'automatic pipelining'() {
    const redis = connect({ enableAutoPipelining: true });
    await Promise.all(Array.from({ length: 1000 }, (_, i) => redis.set(`auto:${i}`, i)));
    const values = await Promise.all(Array.from({ length: 1000 }, (_, i) => redis.get(`auto:${i}`)));
    assert.deepStrictEqual(values, Array.from({ length: 1000 }, (_, i) => String(i)));
    redis.disconnect();
  },

  async 'a transaction, and one that a watched key calls off'(redis) {
    assert.deepStrictEqual(await redis.multi().set('t', 1).incr('t').exec(), [[null, 'OK'], [null, 2]]);
    const other = connect();
    await redis.watch('t');
    await other.set('t', 'changed');
    assert.strictEqual(await redis.multi().set('t', 'mine').exec(), null);
    assert.strictEqual(await redis.get('t'), 'changed');
    other.disconnect();
  },

  async 'a scan stream sees every key'(redis) {
    await redis.mset(...Array.from({ length: 500 }, (_, i) => [`scan:${i}`, i]).flat());
    const seen = new Set();
    for await (const keys of redis.scanStream({ match: 'scan:*', count: 50 })) keys.forEach((key) => seen.add(key));
    assert.strictEqual(seen.size, 500);
  },

  async 'messages reach channel and pattern subscribers'(redis) {
    const subscriber = connect();
    const received = new Promise((resolve) => {
      const got = [];
      const note = (...words) => got.push(words.join(' ')) === 2 && resolve(got.sort());
      subscriber.on('message', note);
      subscriber.on('pmessage', note);
    });
    await subscriber.subscribe('news');
    await subscriber.psubscribe('n*');
    assert.strictEqual(await redis.publish('news', 'hello'), 2);
    assert.deepStrictEqual(await received, ['n* news hello', 'news hello']);
    subscriber.disconnect();
  },

  async 'another database, a name, an expiry'() {
    const redis = connect({ db: 5, connectionName: 'shop' });
    assert.strictEqual(await redis.client('GETNAME'), 'shop');
    await redis.set('soon', 'gone', 'PX', 60000);
    const left = await redis.pttl('soon');
    assert.ok(left > 0 && left <= 60000, `${left}`);
    assert.strictEqual(await redis.dbsize(), 1);
    redis.disconnect();
  },
};

(async () => {
  const redis = connect();
  let failed = 0;
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run(redis);
      console.log(`ok: ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED: ${name}\n${error.stack}`);
    }
  }
  redis.disconnect();
  process.exit(failed === 0 ? 0 : 1);
})();
