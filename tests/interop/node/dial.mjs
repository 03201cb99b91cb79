// We dial the server of `ws`.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { bytes, pause, test } from '../shared/switchboard.mjs';
import { CA, LENGTHS, RUNTIMES, Server, burst } from './peer.mjs';

for (const runtime of RUNTIMES) {
  test(`dialling by ${runtime}: text comes back as text, bytes as bytes, of any length`, async (scene) => {
    const server = await Server.start(scene);
    const board = scene.dial(server.url, '--echo', '--runtime', runtime);
    const client = await server.client();
    for (const length of LENGTHS) {
      const text = 'é'.repeat(length / 2) + '.'.repeat(length % 2);
      client.socket.send(text);
      client.socket.send(bytes(length));
      assert.equal(await client.message(), text, `text of ${length} bytes`);
      assert.deepEqual(await client.message(), bytes(length), `${length} bytes`);
    }
    client.socket.close(1000);
    assert.equal((await client.closed()).code, 1000);
    assert.equal(await board.exit(), 0);
  });

  test(`dialling by ${runtime}: the same inside TLS`, async (scene) => {
    const server = await Server.start(scene, { secure: true });
    const board = scene.dial(server.url, '--echo', '--ca', CA, '--runtime', runtime);
    const client = await server.client();
    for (const length of LENGTHS) {
      client.socket.send(bytes(length));
      assert.deepEqual(await client.message(), bytes(length), `${length} bytes`);
    }
    client.socket.close(1000);
    assert.equal((await client.closed()).code, 1000);
    assert.equal(await board.exit(), 0);
  });

  test(`dialling by ${runtime}: a server that does not read is waited for, and then gets all 200 messages`, async (scene) => {
    const server = await Server.start(scene);
    const board = scene.dial(server.url, '--binary', '--runtime', runtime);
    const client = await server.client();
    client.socket.pause();
    const messages = burst();
    messages.forEach((message) => board.send(message));
    board.hangUp();
    await pause(500);
    client.socket.resume();
    for (const message of messages) assert.deepEqual(await client.message(), message);
    assert.equal((await client.closed()).code, 1000);
    assert.equal(await board.exit(), 0);
  });

  test(`dialling by ${runtime}: who does not read our output holds up the server, and loses nothing`, async (scene) => {
    const server = await Server.start(scene);
    const board = scene.dial(server.url, '--binary', '--runtime', runtime);
    board.pauseReading();
    const client = await server.client();
    const messages = burst();
    messages.forEach((message) => client.socket.send(message));
    await pause(1000);
    assert.ok(client.socket.bufferedAmount > 0, 'our program has read everything and held it');
    board.resumeReading();
    for (const message of messages) assert.deepEqual(await board.message(), message);
  });
}

test('lines go out as text, and come in as lines', async (scene) => {
  const server = await Server.start(scene);
  const board = scene.dial(server.url);
  const client = await server.client();
  board.send('one line: ü');
  assert.equal(await client.message(), 'one line: ü');
  board.send('');
  assert.equal(await client.message(), '');
  client.socket.send('an answer');
  assert.equal(await board.message(), 'an answer');
});

test('with --binary all bytes pass, both ways', async (scene) => {
  const server = await Server.start(scene);
  const board = scene.dial(server.url, '--binary');
  const client = await server.client();
  for (const length of LENGTHS) {
    board.send(bytes(length));
    assert.deepEqual(await client.message(), bytes(length), `${length} bytes out`);
    client.socket.send(bytes(length));
    assert.deepEqual(await board.message(), bytes(length), `${length} bytes in`);
  }
});

test('a message in parts is one message', async (scene) => {
  const server = await Server.start(scene);
  const board = scene.dial(server.url);
  const client = await server.client();
  client.sendInParts('in ', '', 'three parts');
  assert.equal(await board.message(), 'in three parts');
});

test('a ping of the server is answered with its payload', async (scene) => {
  const server = await Server.start(scene);
  scene.dial(server.url);
  const client = await server.client();
  for (const payload of ['', 'x', 'y'.repeat(125)]) {
    client.socket.ping(payload);
    assert.equal(await client.pong(), payload);
  }
});

test('the end of our input closes the link with 1000, after all has been sent', async (scene) => {
  const server = await Server.start(scene);
  const board = scene.dial(server.url);
  const client = await server.client();
  for (let at = 0; at < 100; at++) board.send(`number ${at}`);
  board.hangUp();
  for (let at = 0; at < 100; at++) assert.equal(await client.message(), `number ${at}`);
  assert.equal((await client.closed()).code, 1000);
  assert.equal(await board.exit(), 0);
});

test('with --count the link closes after so many messages', async (scene) => {
  const server = await Server.start(scene);
  const board = scene.dial(server.url, '--count', '2');
  const client = await server.client();
  for (const message of ['one', 'two']) client.socket.send(message);
  assert.equal(await board.message(), 'one');
  assert.equal(await board.message(), 'two');
  assert.equal((await client.closed()).code, 1000);
  assert.equal(await board.exit(), 0);
});

for (const runtime of RUNTIMES) {
  for (const code of [1000, 1001, 1011, 3000, 4999]) {
    test(`dialling by ${runtime}: a server that closes with ${code} gets ${code} back, and its reason is told`, async (scene) => {
      const server = await Server.start(scene);
      const board = scene.dial(server.url, '--runtime', runtime);
      const client = await server.client();
      client.socket.close(code, 'because of the weather');
      assert.equal((await client.closed()).code, code);
      assert.equal(await board.exit(), code < 1002 ? 0 : 4);
      assert.match(board.errors, new RegExp(`${code}.*because of the weather`));
    });
  }
}

test('a server that cuts the link is told from one that closes it', async (scene) => {
  const server = await Server.start(scene);
  const board = scene.dial(server.url);
  const client = await server.client();
  client.cut();
  assert.equal(await board.exit(), 4);
  assert.notEqual(board.errors, '');
});

test('a server that ends the stream without a close frame is told from one that closes it', async (scene) => {
  const server = await Server.start(scene);
  const board = scene.dial(server.url);
  const client = await server.client();
  client.socket._socket.end();
  assert.equal(await board.exit(), 4);
  assert.match(board.errors, /without a proper close/);
});

test('a server that ends the stream in a message is told so', async (scene) => {
  const server = await Server.start(scene);
  const board = scene.dial(server.url);
  const client = await server.client();
  client.socket._socket.end(Buffer.from([0x82, 100, 1, 2, 3]));
  assert.equal(await board.exit(), 4);
  assert.match(board.errors, /in the middle of a message/);
});

test('a server that masks its frames is told the rule, by 1002', async (scene) => {
  const server = await Server.start(scene);
  const board = scene.dial(server.url);
  const client = await server.client();
  client.socket._socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x61]));
  assert.equal((await client.closed()).code, 1002);
  assert.equal(await board.exit(), 4);
  assert.match(board.errors, /a server sent a frame with a mask/);
});

test('what comes in one piece with the answer to our upgrade belongs to the link already', async (scene) => {
  const hello = Buffer.from([0x81, 5, ...Buffer.from('hello')]);
  const masked = Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x61]);
  const board = scene.dial(await serverThatSays(scene, Buffer.concat([hello, masked])));
  assert.equal(await board.message(), 'hello');
  assert.equal(await board.exit(), 4);
  assert.match(board.errors, /connected[^]*a server sent a frame with a mask/);
});

test('the subprotocol that the server chooses is agreed on', async (scene) => {
  const server = await Server.start(scene, { handleProtocols: (offered) => [...offered][1] });
  scene.dial(server.url, '--subprotocol', 'chat.v2', '--subprotocol', 'chat.v1');
  assert.equal((await server.client()).socket.protocol, 'chat.v1');
});

test('a server that chooses a subprotocol that we have not offered is refused', async (scene) => {
  const server = await Server.start(scene, { handleProtocols: () => 'made-up' });
  const board = scene.dial(server.url, '--subprotocol', 'chat.v2');
  assert.equal(await board.exit(), 3);
  assert.match(board.errors, /subprotocol/);
});

test('we offer no extension, and send the headers that we were given', async (scene) => {
  const server = await Server.start(scene, { perMessageDeflate: true });
  scene.dial(server.url, '--header', 'Authorization: Bearer something');
  const client = await server.client();
  assert.equal(client.socket.extensions, '');
  assert.equal(server.request.headers['sec-websocket-extensions'], undefined);
  assert.equal(server.request.headers.authorization, 'Bearer something');
  assert.equal(server.request.headers.host, new URL(server.url).host);
});

test('a server that refuses the upgrade is told by its status', async (scene) => {
  const server = await Server.start(scene, { verifyClient: (_, answer) => answer(false, 403, 'Not you') });
  const board = scene.dial(server.url);
  assert.equal(await board.exit(), 3);
  assert.match(board.errors, /403/);
});

test('a certificate whose issuer we do not trust is refused', async (scene) => {
  const server = await Server.start(scene, { secure: true });
  const board = scene.dial(server.url, '--ca', `${process.env.CERTIFICATES}/stranger.pem`);
  assert.equal(await board.exit(), 3);
  assert.match(board.errors, /issuer is not known/);
});

test('a server that speaks no TLS where we do is told so', async (scene) => {
  const server = await Server.start(scene);
  const board = scene.dial(server.url.replace('ws:', 'wss:'), '--ca', CA);
  assert.equal(await board.exit(), 3);
  assert.match(board.errors, /does not speak TLS/);
});

test('nobody there is told at once', async (scene) => {
  const board = scene.dial(await deadUrl());
  assert.equal(await board.exit(), 3);
  assert.match(board.errors, /refused/);
});

/** A server that answers an upgrade and sends these frames, all at once. */
async function serverThatSays(scene, frames) {
  const listener = createHttpServer();
  listener.on('upgrade', ({ headers }, socket) => {
    const key = `${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash('sha1').update(key).digest('base64');
    const head = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${accept}`, '', ''].join('\r\n');
    socket.on('error', () => {});
    socket.write(Buffer.concat([Buffer.from(head), frames]));
    scene.atEnd(() => socket.destroy());
  });
  await new Promise((listening) => listener.listen(0, '127.0.0.1', listening));
  scene.atEnd(() => listener.close());
  return `ws://127.0.0.1:${listener.address().port}/`;
}

/** A port on which nobody listens any more. */
async function deadUrl() {
  const listener = createServer();
  await new Promise((listening) => listener.listen(0, '127.0.0.1', listening));
  const { port } = listener.address();
  await new Promise((closed) => listener.close(closed));
  return `ws://127.0.0.1:${port}/`;
}
