// Chromium without a window, and a page that can talk by WebSocket.

import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const QUIET = [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--no-proxy-server',
  '--disable-background-networking', '--disable-component-update', '--disable-default-apps', '--disable-sync',
  '--disable-domain-reliability', '--disable-dev-shm-usage', '--metrics-recording-only', '--no-pings',
];

/** A browser that trusts one certificate which nobody has issued, if any, and its pages from one origin. */
export class Browser {
  static async start(certificate, { args = [], permissions = [] } = {}) {
    const browser = new Browser();
    browser.profile = mkdtempSync(join(tmpdir(), 'switchboard-chromium-'));
    browser.server = createServer((_, answer) => {
      answer.setHeader('content-type', 'text/html');
      answer.end('<!doctype html><title>a page</title>');
    });
    await new Promise((listening) => browser.server.listen(0, '127.0.0.1', listening));
    browser.origin = `http://127.0.0.1:${browser.server.address().port}`;
    browser.context = await chromium.launchPersistentContext(browser.profile, {
      executablePath: '/usr/bin/chromium',
      args: [...QUIET, ...(certificate ? trust(certificate) : []), ...args],
      chromiumSandbox: false,
    });
    await browser.context.grantPermissions(permissions, { origin: browser.origin });
    await browser.context.addInitScript(talk);
    return browser;
  }

  /** A page that is closed with the test; `Talk` is there in it. */
  async page(scene) {
    const page = await this.context.newPage();
    scene.atEnd(() => page.close());
    await page.goto(this.origin);
    return page;
  }

  async stop() {
    await this.context.close();
    this.server.close();
    rmSync(this.profile, { recursive: true, force: true });
  }
}

/** Has Chromium trust a public key, by its name for it. */
function trust(certificate) {
  const key = new X509Certificate(readFileSync(certificate)).publicKey.export({ type: 'spki', format: 'der' });
  return [`--ignore-certificate-errors-spki-list=${createHash('sha256').update(key).digest('base64')}`];
}

/** Runs in each page: a WebSocket whose messages wait until they are asked for. */
function talk() {
  globalThis.Talk = class {
    #inbox = [];
    #waiting = [];

    /** Resolves when it is open, or fails with the close event's code. */
    static open(url, protocols = []) {
      const talk = new this();
      talk.socket = new WebSocket(url, protocols);
      talk.socket.binaryType = 'arraybuffer';
      talk.socket.onmessage = ({ data }) => {
        const first = talk.#waiting.shift();
        first ? first(data) : talk.#inbox.push(data);
      };
      talk.closed = new Promise((resolve) => {
        talk.socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean });
      });
      return new Promise((resolve, reject) => {
        talk.socket.onopen = () => resolve(talk);
        talk.closed.then(({ code }) => reject(new Error(`not opened: ${code}`)));
      });
    }

    message() {
      if (this.#inbox.length > 0) return Promise.resolve(this.#inbox.shift());
      return new Promise((resolve) => this.#waiting.push(resolve));
    }

    /** Sends something and waits for what comes back. */
    ask(data) {
      this.socket.send(data);
      return this.message();
    }
  };

  globalThis.someBytes = (length) => new Uint8Array(length).map((_, at) => (at * 31 + (at >> 8)) & 255);

  globalThis.areSomeBytes = (buffer, length) => {
    const [got, wanted] = [new Uint8Array(buffer), someBytes(length)];
    return got.length === length && got.every((byte, at) => byte === wanted[at]);
  };
}
