// Our native peer: descriptions as lines of JSON on stdin and stdout.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Mailbox, pause, within } from './switchboard.mjs';

export class Peer {
  #process;
  #lines = new Mailbox();
  errors = '';

  /** Starts it; the scene stops it. */
  constructor(scene, ...words) {
    this.#process = spawn(process.env.RTC_PEER, words);
    this.#process.stdin.on('error', () => {});
    this.#process.stderr.on('data', (bytes) => (this.errors += bytes));
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#lines.put(line));
    this.exit = once(this.#process, 'close').then(([code, signal]) => code ?? signal);
    scene.atEnd(() => this.stop());
  }

  /** Hands it a description. */
  tell(description) {
    this.#process.stdin.write(`${JSON.stringify(description)}\n`);
  }

  /** The description that it writes. */
  async description(type) {
    const ended = this.exit.then((code) => {
      throw new Error(`the native peer has ended with ${code}: ${this.errors}`);
    });
    ended.catch(() => {});
    const line = await within(Promise.race([this.#lines.take(), ended]), `the native peer's ${type}`);
    const description = JSON.parse(line);
    if (description.type !== type) throw new Error(`the native peer wrote ${line}`);
    return description;
  }

  async stop() {
    this.#process.kill('SIGTERM');
    const ended = await Promise.race([this.exit, pause(5000)]);
    if (ended === undefined) this.#process.kill('SIGKILL');
    await this.exit;
  }
}
