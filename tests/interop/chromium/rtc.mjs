// Data channels of a page in Chromium with a native peer of ours.
//
// The native program is RTC_PEER. Without arguments it reads an offer as one line of JSON (`{"type", "sdp"}`) on stdin,
// writes its answer as one line on stdout, and sends back every message on the channel that it came by. With `--offer`
// it writes the offer and reads the answer. Both sides wait for their candidates, so one description each is enough. The
// channels are negotiated: 0 is reliable and unordered, 1 is lossy and unordered.

import assert from 'node:assert/strict';
import { run, test, within } from '../shared/switchboard.mjs';
import { Browser } from './browser.mjs';
import { Peer } from './peer.mjs';

// Without the permission Chromium looks for no addresses, and without the flag it does not use those of loopback.
const browser = await Browser.start(null, {
  args: ['--allow-loopback-in-peer-connection', '--disable-features=WebRtcHideLocalIpsWithMdns'],
  permissions: ['camera', 'microphone'],
});
// Not 0: the engine of our peers sends nothing for an empty message.
const LENGTHS = [1, 1000, 16_384, 65_536];

/** A page whose peer is connected with ours. Who `offers`: 'page' or 'peer'. */
async function connected(scene, offers, media = false) {
  const page = await browser.page(scene);
  await page.addScriptTag({ content: `(${rtc})()` });
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

for (const offers of ['page', 'peer']) {
  test(`the ${offers} offers: 1,000 messages come back by the reliable channel`, async (scene) => {
    const page = await connected(scene, offers);
    const wrong = await within(page.evaluate(() => Rtc.echoes('bulk', 1000, 200)), '1,000 messages', 30_000);
    assert.deepEqual(wrong, []);
  });

  test(`the ${offers} offers: messages come back by the lossy channel`, async (scene) => {
    const page = await connected(scene, offers);
    const back = await within(page.evaluate(() => Rtc.someBack('quick', 100)), 'messages', 30_000);
    assert.ok(back >= 90, `${back} of 100 came back on loopback`);
  });
}

test('bytes and text of any length come back as what they were', async (scene) => {
  const page = await connected(scene, 'page');
  assert.deepEqual(await within(page.evaluate((lengths) => Rtc.lengths(lengths), LENGTHS), 'all lengths', 30_000), []);
});

test('of an offer with audio and video, both are declined and the channels open', async (scene) => {
  const page = await connected(scene, 'page', true);
  // Transceivers whose section was declined are stopped, and gone (W3C WebRTC, section 4.4.1.5).
  assert.deepEqual(await page.evaluate(() => Rtc.directions()), []);
  assert.deepEqual(await within(page.evaluate(() => Rtc.echoes('bulk', 10, 200)), '10 messages'), []);
});

await run(() => browser.stop());

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
        return new Promise((resolve) => (bulk.onmessage = ({ data }) => resolve(data)));
      };
      for (const length of lengths.filter((length) => length <= connection.sctp.maxMessageSize)) {
        if ((await ask('x'.repeat(length))) !== 'x'.repeat(length)) wrong.push(`text of ${length}`);
        const data = await ask(someBytes(length));
        if (!(data instanceof ArrayBuffer && areSomeBytes(data, length))) wrong.push(`bytes of ${length}`);
      }
      return wrong;
    },
  };
}
