// A page in Chromium dials us. The functions given to `inPage` run in the page.

import assert from 'node:assert/strict';
import { run, test, within } from '../shared/switchboard.mjs';
import { Browser } from './browser.mjs';

const LENGTHS = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20];
const identity = (name) =>
  ['--cert', `${process.env.CERTIFICATES}/${name}.pem`, '--key', `${process.env.CERTIFICATES}/${name}.key`];

const browser = await Browser.start(`${process.env.CERTIFICATES}/local.pem`);

/** Starts a listener and has a page do something with its address. */
async function inPage(scene, { string = 'ws://127.0.0.1:0/', options = ['--echo'], also }, body) {
  const board = await scene.listen(string, ...options);
  const page = await browser.page(scene);
  const done = page.evaluate(body, { url: board.url, lengths: LENGTHS });
  await also?.(board, page);
  return within(done, 'what the page has found', 30_000);
}

for (const runtime of ['tokio', 'mio']) {
  test(`listening by ${runtime}: text comes back as text, an ArrayBuffer as bytes, of any length`, async (scene) => {
    const wrong = await inPage(scene, { options: ['--echo', '--runtime', runtime] }, async ({ url, lengths }) => {
      const talk = await Talk.open(url);
      const wrong = [];
      for (const length of lengths) {
        const text = 'é'.repeat(length / 2) + '.'.repeat(length % 2);
        if ((await talk.ask(text)) !== text) wrong.push(`text of ${length}`);
        if (!areSomeBytes(await talk.ask(someBytes(length).buffer), length)) wrong.push(`bytes of ${length}`);
      }
      return wrong;
    });
    assert.deepEqual(wrong, []);
  });
}

test('a Blob comes back as a Blob', async (scene) => {
  const found = await inPage(scene, {}, async ({ url }) => {
    const talk = await Talk.open(url);
    talk.socket.binaryType = 'blob';
    const answer = await talk.ask(new Blob([someBytes(60_000), someBytes(10_000)]));
    const buffer = await answer.arrayBuffer();
    return [answer instanceof Blob, areSomeBytes(buffer.slice(0, 60_000), 60_000), areSomeBytes(buffer.slice(60_000), 10_000)];
  });
  assert.deepEqual(found, [true, true, true]);
});

test('the same inside TLS, with a certificate whose key the browser was told to trust', async (scene) => {
  const listener = { string: 'wss://127.0.0.1:0/', options: ['--echo', ...identity('local')] };
  const wrong = await inPage(scene, listener, async ({ url, lengths }) => {
    const talk = await Talk.open(url);
    const wrong = [];
    for (const length of lengths) {
      if (!areSomeBytes(await talk.ask(someBytes(length)), length)) wrong.push(length);
    }
    return wrong;
  });
  assert.deepEqual(wrong, []);
});

test('a certificate that the browser was not told to trust opens nothing', async (scene) => {
  const listener = { string: 'wss://127.0.0.1:0/', options: ['--echo', ...identity('rsa')] };
  const failure = await inPage(scene, listener, ({ url }) => Talk.open(url).catch(({ message }) => message));
  assert.equal(failure, 'not opened: 1006');
});

test('compression, which Chromium always offers, is declined', async (scene) => {
  const found = await inPage(scene, {}, async ({ url }) => {
    const talk = await Talk.open(url);
    return [talk.socket.extensions, await talk.ask('a'.repeat(10_000))];
  });
  assert.deepEqual(found, ['', 'a'.repeat(10_000)]);
});

test('200 messages sent at once come back in order', async (scene) => {
  const disorder = await inPage(scene, {}, async ({ url }) => {
    const talk = await Talk.open(url);
    const messages = Array.from({ length: 200 }, (_, at) => someBytes(100_000).fill(at, 0, 4));
    messages.forEach((message) => talk.socket.send(message));
    for (let at = 0; at < messages.length; at++) {
      const message = new Uint8Array(await talk.message());
      if (message.length !== 100_000 || message[0] !== at) return `message ${at} is ${message[0]}`;
    }
    return 'none';
  });
  assert.equal(disorder, 'none');
});

test('the first of our subprotocols that the page offers is agreed on', async (scene) => {
  const listener = { options: ['--echo', '--subprotocol', 'chat.v2', '--subprotocol', 'chat.v1'] };
  const agreed = await inPage(scene, listener, async ({ url }) => {
    const talk = await Talk.open(url, ['chat.v0', 'chat.v1', 'chat.v2']);
    return talk.socket.protocol;
  });
  assert.equal(agreed, 'chat.v2');
});

test('a page that offers none of our subprotocols closes the connection itself', async (scene) => {
  const listener = { options: ['--echo', '--subprotocol', 'chat.v2'] };
  const failure = await inPage(scene, listener, ({ url }) => Talk.open(url, ['other']).catch(({ message }) => message));
  assert.equal(failure, 'not opened: 1006');
});

test('the code that the page closes with comes back to it, and both ends are clean', async (scene) => {
  const closed = await inPage(scene, {}, async ({ url }) => {
    const talk = await Talk.open(url);
    talk.socket.close(3001, 'enough');
    return talk.closed;
  });
  assert.deepEqual({ code: closed.code, wasClean: closed.wasClean }, { code: 3001, wasClean: true });
});

test('a page hears a listener that is stopped close with 1000', async (scene) => {
  const listener = { also: (board) => board.says(/127\.0\.0\.1:\d+[^]*127\.0\.0\.1:\d+/).then(() => void board.stop()) };
  const closed = await inPage(scene, listener, async ({ url }) => (await Talk.open(url)).closed);
  assert.deepEqual({ code: closed.code, wasClean: closed.wasClean }, { code: 1000, wasClean: true });
});

test('a message beyond our limit closes the link with 1009 and the reason', async (scene) => {
  const listener = { options: ['--echo', '--max-message', '1000'] };
  const closed = await inPage(scene, listener, async ({ url }) => {
    const talk = await Talk.open(url);
    talk.socket.send(someBytes(1001));
    return talk.closed;
  });
  assert.deepEqual({ code: closed.code, wasClean: closed.wasClean }, { code: 1009, wasClean: true });
});

test('a page that is left closes its link with 1001', async (scene) => {
  const board = await scene.listen('ws://127.0.0.1:0/');
  const page = await browser.page(scene);
  await page.evaluate(async (url) => (await Talk.open(url)).socket.send('I am here'), board.url);
  assert.equal(await board.message(), 'I am here');
  await page.goto('about:blank');
  await board.says(/1001/);
});

test('an origin that is not allowed is refused, the one that is allowed is served', async (scene) => {
  const listener = { options: ['--echo', '--origin', 'https://good.example'] };
  const failure = await inPage(scene, listener, ({ url }) => Talk.open(url).catch(({ message }) => message));
  assert.equal(failure, 'not opened: 1006');
  const allowed = { options: ['--echo', '--origin', browser.origin] };
  assert.equal(await inPage(scene, allowed, async ({ url }) => (await Talk.open(url)).ask('hello')), 'hello');
});

await run(() => browser.stop());
