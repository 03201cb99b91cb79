// Data channels of a page in Firefox with a native peer of ours.

import { createServer } from 'node:http';
import puppeteer from 'puppeteer-core';
import { tests } from '../shared/rtc.mjs';
import { run } from '../shared/switchboard.mjs';

const PREFERENCES = {
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'network.manage-offline-status': false,
  'network.proxy.type': 0,
  'app.update.disabledForTesting': true,
  'datareporting.policy.dataSubmissionEnabled': false,
  // Addresses as they are, and not behind names of mDNS.
  'media.peerconnection.ice.obfuscate_host_addresses': false,
};

const server = createServer((_, answer) => {
  answer.setHeader('content-type', 'text/html');
  answer.end('<!doctype html><title>a page</title>');
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const browser = await puppeteer.launch({
  browser: 'firefox',
  executablePath: '/usr/bin/firefox-esr',
  headless: true,
  extraPrefsFirefox: PREFERENCES,
});

tests(async (scene) => {
  const page = await browser.newPage();
  scene.atEnd(() => page.close());
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  return page;
});
await run(async () => {
  await browser.close();
  server.close();
});
