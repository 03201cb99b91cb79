// The client of `ws` dials us.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytes, pause, test } from '../shared/switchboard.mjs';
import { CA, LENGTHS, RUNTIMES, burst, connect, refused } from './peer.mjs';

const echo = (scene, ...options) => scene.listen('ws://127.0.0.1:0/', '--echo', ...options);
const local = ['--cert', `${process.env.CERTIFICATES}/local.pem`, '--key', `${process.env.CERTIFICATES}/local.key`];

for (const runtime of RUNTIMES) {
  test(`listening by ${runtime}: text comes back as text, bytes as bytes, of any length`, async (scene) => {
    const board = await echo(scene, '--runtime', runtime);
    const client = await connect(scene, board.url);
    for (const length of LENGTHS) {
      const text = 'é'.repeat(length / 2) + '.'.repeat(length % 2);
      client.socket.send(text);
      client.socket.send(bytes(length));
      assert.equal(await client.message(), text, `text of ${length} bytes`);
      assert.deepEqual(await client.message(), bytes(length), `${length} bytes`);
    }
  });

  test(`listening by ${runtime}: a client that does not read is waited for, and then gets all 200 messages`, async (scene) => {
    const board = await echo(scene, '--runtime', runtime);
    const client = await connect(scene, board.url);
    const messages = burst();
    client.socket.pause();
    messages.forEach((message) => client.socket.send(message));
    await stillness(() => client.socket.bufferedAmount);
    assert.ok(client.socket.bufferedAmount > 0, 'our program has read everything and held it');
    assert.ok(residentMemory(board.pid) < 64 << 20, `our program holds ${residentMemory(board.pid)} bytes`);
    client.socket.resume();
    for (const message of messages) assert.deepEqual(await client.message(), message);
  });

  test(`listening by ${runtime}: the same inside TLS`, async (scene) => {
    const board = await scene.listen('wss://127.0.0.1:0/', '--echo', '--runtime', runtime, ...local);
    const client = await connect(scene, board.url, [], { ca: readFileSync(CA) });
    for (const length of LENGTHS) {
      client.socket.send(bytes(length));
      assert.deepEqual(await client.message(), bytes(length), `${length} bytes`);
    }
    client.socket.close(1000, 'enough');
    assert.equal((await client.closed()).code, 1000);
  });
}

test('what we read is sent to each client, and what each client sends is printed', async (scene) => {
  const board = await scene.listen('ws://127.0.0.1:0/');
  const [anna, bert] = [await connect(scene, board.url), await connect(scene, board.url)];
  anna.socket.send('from Anna');
  assert.equal(await board.message(), 'from Anna');
  bert.socket.send('from Bert');
  assert.equal(await board.message(), 'from Bert');
  board.send('to both: ä');
  assert.equal(await anna.message(), 'to both: ä');
  assert.equal(await bert.message(), 'to both: ä');
});

test('a message in parts comes back whole, also with a ping between the parts', async (scene) => {
  const client = await connect(scene, (await echo(scene)).url);
  client.sendInParts('a', '', 'bc', 'd');
  assert.equal(await client.message(), 'abcd');
  client.socket.send(bytes(70_000), { fin: false });
  client.socket.ping('between');
  client.socket.send(bytes(3), { fin: true });
  assert.equal(await client.pong(), 'between');
  assert.deepEqual(await client.message(), Buffer.concat([bytes(70_000), bytes(3)]));
});

test('a character cut in two by the parts of a message is whole again', async (scene) => {
  const client = await connect(scene, (await echo(scene)).url);
  const [euro] = [Buffer.from('€')];
  client.socket.send(euro.subarray(0, 1), { binary: false, fin: false });
  client.socket.send(euro.subarray(1), { fin: true });
  assert.equal(await client.message(), '€');
});

test('a pong carries the payload of its ping', async (scene) => {
  const client = await connect(scene, (await echo(scene)).url);
  for (const payload of ['', 'x', 'y'.repeat(125)]) {
    client.socket.ping(payload);
    assert.equal(await client.pong(), payload);
  }
});

test('a pong that nobody asked for is no trouble', async (scene) => {
  const client = await connect(scene, (await echo(scene)).url);
  client.socket.pong('by the way');
  client.socket.send('still here');
  assert.equal(await client.message(), 'still here');
});

for (const code of [1000, 1001, 1011, 3000, 4999]) {
  test(`a close with ${code} is answered with ${code}`, async (scene) => {
    const client = await connect(scene, (await echo(scene)).url);
    client.socket.close(code, 'because');
    assert.equal((await client.closed()).code, code);
  });
}

test('a close without a code is answered without a code', async (scene) => {
  const client = await connect(scene, (await echo(scene)).url);
  client.socket.close();
  assert.equal((await client.closed()).code, 1005);
});

test('messages sent just before the close still arrive', async (scene) => {
  const board = await scene.listen('ws://127.0.0.1:0/');
  const client = await connect(scene, board.url);
  for (let at = 0; at < 100; at++) client.socket.send(`number ${at}`);
  client.socket.close(1000);
  for (let at = 0; at < 100; at++) assert.equal(await board.message(), `number ${at}`);
});

test('a listener that is stopped closes its links properly', async (scene) => {
  const board = await echo(scene);
  const client = await connect(scene, board.url);
  const stopped = board.stop();
  assert.equal((await client.closed()).code, 1000);
  await stopped;
  assert.equal(await board.exit(), 0);
});

test('a client that vanishes leaves the others alone', async (scene) => {
  const board = await echo(scene);
  const [stays, goes] = [await connect(scene, board.url), await connect(scene, board.url)];
  goes.socket.send(bytes(100_000), { fin: false });
  goes.cut();
  stays.socket.send('still here');
  assert.equal(await stays.message(), 'still here');
  const next = await connect(scene, board.url);
  next.socket.send('me too');
  assert.equal(await next.message(), 'me too');
});

test('the first of our subprotocols that the client offers is agreed on', async (scene) => {
  const board = await echo(scene, '--subprotocol', 'chat.v2', '--subprotocol', 'chat.v1');
  const client = await connect(scene, board.url, ['other', 'chat.v1', 'chat.v2']);
  assert.equal(client.socket.protocol, 'chat.v2');
});

test('a client that offers none of our subprotocols gets none, which `ws` refuses', async (scene) => {
  const board = await echo(scene, '--subprotocol', 'chat.v2');
  assert.match(await refused(scene, board.url, ['other']), /no subprotocol|400/);
});

test('compression is offered by the client and declined by us', async (scene) => {
  const board = await echo(scene);
  const client = await connect(scene, board.url, [], { perMessageDeflate: true });
  assert.equal(client.socket.extensions, '');
  client.socket.send('a'.repeat(10_000));
  assert.equal(await client.message(), 'a'.repeat(10_000));
});

test('an origin that is not allowed is refused with 403', async (scene) => {
  const board = await echo(scene, '--origin', 'https://good.example');
  assert.match(await refused(scene, board.url, [], { origin: 'https://bad.example' }), /403/);
  await connect(scene, board.url, [], { origin: 'https://good.example' });
});

test('another path is refused with 404', async (scene) => {
  const board = await scene.listen('ws://127.0.0.1:0/there', '--echo');
  assert.match(await refused(scene, new URL('/elsewhere', board.url).href), /404/);
  const client = await connect(scene, new URL('/there', board.url).href);
  client.socket.send('found');
  assert.equal(await client.message(), 'found');
});

test('the certificate that we make ourselves is good for a client that is given it', async (scene) => {
  const folder = mkdtempSync(join(tmpdir(), 'switchboard-'));
  scene.atEnd(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'certificate.pem');
  const board = await scene.listen('wss://127.0.0.1:0/', '--echo', '--self-signed', file);
  assert.ok(existsSync(file));
  const client = await connect(scene, board.url, [], { ca: readFileSync(file) });
  client.socket.send('trusted');
  assert.equal(await client.message(), 'trusted');
  assert.match(await refused(scene, board.url), /self.signed|unable to verify/i);
});

test('a client that speaks no TLS to a TLS port is sent away, and the next one is served', async (scene) => {
  const board = await scene.listen('wss://127.0.0.1:0/', '--echo', ...local);
  await refused(scene, board.url.replace('wss:', 'ws:'));
  const client = await connect(scene, board.url, [], { ca: readFileSync(CA) });
  client.socket.send('served');
  assert.equal(await client.message(), 'served');
});

test('a message beyond our limit closes the link with 1009', async (scene) => {
  const board = await echo(scene, '--max-message', '1000');
  const client = await connect(scene, board.url);
  client.socket.send(bytes(1000));
  assert.deepEqual(await client.message(), bytes(1000));
  client.socket.send(bytes(1001));
  assert.equal((await client.closed()).code, 1009);
});

/** Waits until a number has stopped to change. */
async function stillness(number) {
  for (let before = NaN, now = number(); before !== now; before = now, now = number()) await pause(300);
}

function residentMemory(pid) {
  return Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+) kB/)[1]) * 1024;
}
