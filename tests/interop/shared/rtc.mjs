// Data channels of a page in a browser with a native peer of ours: what is tested with every browser.
//
// The native program is RTC_PEER. Without arguments it reads an offer as one line of JSON (`{"type", "sdp"}`) on stdin,
// writes its answer as one line on stdout, and sends back every message on the channel that it came by. With `--offer`
// it writes the offer and reads the answer. Both sides wait for their candidates, so one description each is enough. Two
// channels are negotiated: 0 is reliable and unordered, 1 is lossy and unordered; either side opens others in band, the
// native program when it is told to: by a text `open LABEL`, and `close` closes the channel that it came by.

import assert from 'node:assert/strict';
import { Peer } from './peer.mjs';
import { test, within } from './switchboard.mjs';

const LENGTHS = [1, 1000, 16_384, 65_536, 262_144];
const KINDS = {
  ordered: {},
  unordered: { ordered: false },
  'a few retransmissions': { maxRetransmits: 20 },
  'a lifetime, unordered': { ordered: false, maxPacketLifeTime: 20_000 },
};

/** A page whose peer is connected with ours. Who `offers`: 'page' or 'peer'. */
export async function connected(page, scene, offers, media = false) {
  await page.evaluate(`(${rtc})()`);
  const peer = new Peer(scene, ...(offers === 'peer' ? ['--offer'] : []));
  if (offers === 'page') {
    const offer = await within(page.evaluate((media) => Rtc.offer(media), media), "the page's offer");
    peer.tell(offer);
    await page.evaluate((answer) => Rtc.accept(answer), await peer.description('answer'));
  } else {
    const offer = await peer.description('offer');
    peer.tell(await within(page.evaluate((offer) => Rtc.answer(offer), offer), "the page's answer"));
  }
  await within(page.evaluate(() => Rtc.opened), 'open channels', 15_000);
  return page;
}

/** Declares the tests; `newPage(scene)` is an empty page of that browser. */
export function tests(newPage) {
  const connectedPage = async (scene, offers, media) => connected(await newPage(scene), scene, offers, media);

  for (const offers of ['page', 'peer']) {
    test(`the ${offers} offers: 1,000 messages come back by the reliable channel, and are counted there`, async (scene) => {
      const page = await connectedPage(scene, offers);
      const wrong = await within(page.evaluate(() => Rtc.echoes('bulk', 1000, 200)), '1,000 messages', 30_000);
      assert.deepEqual(wrong, []);
      assert.deepEqual(await page.evaluate(() => Rtc.counters(0)), [1000, 1000]);
    });

    test(`the ${offers} offers: messages come back by the lossy channel`, async (scene) => {
      const page = await connectedPage(scene, offers);
      const back = await within(page.evaluate(() => Rtc.someBack('quick', 100)), 'messages', 30_000);
      assert.ok(back >= 90, `${back} of 100 came back on loopback`);
    });

    test(`the ${offers} offers: channels of every kind open in band, carry messages and close`, async (scene) => {
      const page = await connectedPage(scene, offers);
      for (const [label, options] of Object.entries(KINDS)) {
        const ask = page.evaluate(([label, options, lengths]) => Rtc.inBand(label, options, lengths), [label, options, LENGTHS]);
        assert.deepEqual(await within(ask, `the channel: ${label}`, 30_000), []);
      }
    });

    test(`the ${offers} offers: channels that our peer opens carry messages, and are closed when it closes them`, async (scene) => {
      const page = await connectedPage(scene, offers);
      for (let round = 0; round < 3; round++) {
        const opened = page.evaluate(([label, lengths]) => Rtc.byPeer(label, lengths), [`round ${round}`, LENGTHS]);
        assert.deepEqual(await within(opened, `the channel of round ${round}`, 30_000), []);
      }
    });

    test(`the ${offers} offers: 10,000 messages come back in order`, async (scene) => {
      const page = await connectedPage(scene, offers);
      assert.deepEqual(await within(page.evaluate(() => Rtc.inOrder(10_000)), '10,000 messages', 60_000), []);
    });
  }

  test('bytes and text of any length come back as what they were', async (scene) => {
    const page = await connectedPage(scene, 'page');
    assert.deepEqual(await within(page.evaluate((lengths) => Rtc.lengths(lengths), LENGTHS), 'all lengths', 30_000), []);
  });

  test('of an offer with audio and video, both are declined and the channels open', async (scene) => {
    const page = await connectedPage(scene, 'page', true);
    // Transceivers whose section was declined are stopped, and gone (W3C WebRTC, section 4.4.1.5); Firefox still shows them.
    assert.deepEqual((await page.evaluate(() => Rtc.directions())).filter((direction) => direction !== 'stopped'), []);
    assert.deepEqual(await within(page.evaluate(() => Rtc.echoes('bulk', 10, 200)), '10 messages'), []);
  });
}

/** Runs in the page: a connection with two negotiated channels. */
function rtc() {
  const connection = new RTCPeerConnection();
  const channel = (label, id, options) => {
    const channel = connection.createDataChannel(label, { negotiated: true, id, ordered: false, ...options });
    channel.binaryType = 'arraybuffer';
    return channel;
  };
  const bulk = channel('bulk', 0, {});
  const quick = channel('quick', 1, { maxRetransmits: 0 });
  const open = (channel) => new Promise((resolve) => (channel.onopen = () => resolve()));
  const gathered = new Promise((resolve) => {
    connection.onicegatheringstatechange = () => connection.iceGatheringState === 'complete' && resolve();
  });
  const local = async () => {
    await connection.setLocalDescription();
    await gathered;
    return connection.localDescription.toJSON();
  };
  const numbered = (at, length) => {
    const message = new Uint8Array(length).map((_, place) => (at + place) & 255);
    new DataView(message.buffer).setUint32(0, at);
    return message;
  };
  const isNumbered = (data) => {
    const at = new DataView(data).getUint32(0);
    const wanted = numbered(at, data.byteLength);
    return new Uint8Array(data).every((byte, place) => byte === wanted[place]) ? at : -1;
  };

  const someBytes = (length) => new Uint8Array(length).map((_, at) => (at * 31 + (at >> 8)) & 255);
  const areSomeBytes = (data, length) => {
    const [got, wanted] = [new Uint8Array(data), someBytes(length)];
    return data instanceof ArrayBuffer && got.length === length && got.every((byte, at) => byte === wanted[at]);
  };
  const next = (channel) => new Promise((resolve) => (channel.onmessage = ({ data }) => resolve(data)));
  const closed = (channel) => new Promise((resolve) => (channel.onclose = () => resolve()));
  const talk = async (channel, lengths) => {
    const wrong = [];
    for (const length of lengths) {
      channel.send(someBytes(length));
      if (!areSomeBytes(await next(channel), length)) wrong.push(`${channel.label}: ${length}`);
    }
    return wrong;
  };
  const low = (channel) => new Promise((resolve) => (channel.onbufferedamountlow = () => resolve()));

  globalThis.Rtc = {
    connection,
    bulk,
    quick,
    opened: Promise.all([open(bulk), open(quick)]),

    async offer(media) {
      if (media) ['audio', 'video'].forEach((kind) => connection.addTransceiver(kind));
      return local();
    },

    async answer(offer) {
      await connection.setRemoteDescription(offer);
      return local();
    },

    accept: (answer) => connection.setRemoteDescription(answer),

    directions: () => connection.getTransceivers().map(({ currentDirection }) => currentDirection),

    /** Sends so many messages; which did not come back, or not as they were. */
    async echoes(label, count, length) {
      const missing = new Set(Array.from({ length: count }, (_, at) => at));
      await new Promise((resolve) => {
        Rtc[label].onmessage = ({ data }) => {
          missing.delete(isNumbered(data));
          if (missing.size === 0) resolve();
        };
        for (let at = 0; at < count; at++) Rtc[label].send(numbered(at, length));
      });
      return [...missing];
    },

    /** What the browser itself counts of a channel: messages that it has sent, and that have come. */
    async counters(id) {
      const stats = [...(await connection.getStats()).values()];
      const { messagesSent, messagesReceived } = stats.find((of) => of.type === 'data-channel' && of.dataChannelIdentifier === id);
      return [messagesSent, messagesReceived];
    },

    /** Opens a channel in band, asks for messages of these lengths in turn, and closes it; what was wrong. */
    async inBand(label, options, lengths) {
      const channel = connection.createDataChannel(label, options);
      channel.binaryType = 'arraybuffer';
      await open(channel);
      const wrong = await talk(channel, lengths);
      const end = closed(channel);
      channel.close();
      await end;
      return wrong;
    },

    /** Has the peer open a channel, asks for messages of these lengths in turn, and has the peer close it; what was wrong. */
    async byPeer(label, lengths) {
      const opened = new Promise((resolve) => (connection.ondatachannel = ({ channel }) => resolve(channel)));
      bulk.send(`open ${label}`);
      const channel = await opened;
      channel.binaryType = 'arraybuffer';
      if (channel.readyState !== 'open') await open(channel);
      const wrong = channel.label === label && channel.ordered ? [] : [`${channel.label}, ordered: ${channel.ordered}`];
      wrong.push(...(await talk(channel, lengths)));
      const end = closed(channel);
      channel.send('close');
      await end;
      return wrong;
    },

    /** Sends so many messages by a channel that keeps order, of four to 1,003 bytes; which came back in another place. */
    async inOrder(count) {
      const channel = connection.createDataChannel('in order');
      channel.binaryType = 'arraybuffer';
      channel.bufferedAmountLowThreshold = 1 << 18;
      await open(channel);
      const seen = [];
      const all = new Promise((resolve) => {
        channel.onmessage = ({ data }) => seen.push(isNumbered(data)) === count && resolve();
      });
      for (let at = 0; at < count; at++) {
        if (channel.bufferedAmount > 1 << 20) await low(channel);
        channel.send(numbered(at, 4 + ((at * 7) % 1000)));
      }
      await all;
      return seen.filter((number, place) => number !== place);
    },

    /** Sends so many messages; how many come back within two seconds after the last. */
    async someBack(label, count) {
      let back = 0;
      Rtc[label].onmessage = ({ data }) => (back += isNumbered(data) >= 0);
      for (let at = 0; at < count; at++) {
        Rtc[label].send(numbered(at, 500));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      for (let waited = 0; back < count && waited < 2000; waited += 50) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return back;
    },

    /** Sends text and bytes of each length that the peer takes; what did not come back as it was. */
    async lengths(lengths) {
      const wrong = [];
      const ask = (message) => {
        bulk.send(message);
        return next(bulk);
      };
      for (const length of lengths.filter((length) => length <= connection.sctp.maxMessageSize)) {
        if ((await ask('x'.repeat(length))) !== 'x'.repeat(length)) wrong.push(`text of ${length}`);
        const data = await ask(someBytes(length));
        if (!areSomeBytes(data, length)) wrong.push(`bytes of ${length}`);
      }
      return wrong;
    },
  };
}
