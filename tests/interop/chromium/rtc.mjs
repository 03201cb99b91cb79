// Data channels of a page in Chromium with a native peer of ours.

import { tests } from '../shared/rtc.mjs';
import { run } from '../shared/switchboard.mjs';
import { Browser } from './browser.mjs';

// Without the permission Chromium looks for no addresses, and without the flag it does not use those of loopback.
const browser = await Browser.start(null, {
  args: ['--allow-loopback-in-peer-connection', '--disable-features=WebRtcHideLocalIpsWithMdns'],
  permissions: ['camera', 'microphone'],
});
tests((scene) => browser.page(scene));
await run(() => browser.stop());
