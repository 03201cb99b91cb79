// Our program as a user meets it: messages by stdin and stdout, words on stderr, an exit code. And the little that
// it takes to write tests as sentences: `test(sentence, body)`, `run()`.
//
// A test's body gets a `Scene`. What it starts there is stopped by the scene when the test is over, by its own
// process id. Every wait ends after `PATIENCE`, with a message that says what was waited for.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

const PATIENCE = 10_000;
const tests = [];

export function test(sentence, body) {
  tests.push({ sentence, body });
}

/** Runs all tests, or those whose sentence has the words of the command line, one after the other; then `atEnd`. */
export async function run(atEnd = () => {}) {
  const words = process.argv.slice(2).join(' ');
  let passed = 0, failed = 0;
  for (const { sentence, body } of tests.filter(({ sentence }) => sentence.includes(words))) {
    const scene = new Scene();
    try {
      await body(scene);
      console.log(`ok      ${sentence}`);
      passed++;
    } catch (error) {
      console.log(`FAILED  ${sentence}\n${indented(error.stack)}\n${indented(scene.story())}`);
      failed++;
    }
    await scene.end();
  }
  await atEnd();
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

/** What one test has started. */
export class Scene {
  #programs = [];
  #endings = [];

  /** Starts `switchboard listen` and waits until it listens. */
  async listen(string, ...options) {
    const program = this.#start('listen', string, ...options);
    await program.listening();
    return program;
  }

  /** Starts `switchboard dial`. */
  dial(string, ...options) {
    return this.#start('dial', string, ...options);
  }

  /** Has something done at the end of the test. */
  atEnd(ending) {
    this.#endings.push(ending);
  }

  async end() {
    for (const ending of this.#endings.reverse()) await ending();
    for (const program of this.#programs) await program.stop();
  }

  story() {
    return this.#programs.map((program) => program.story()).join('\n');
  }

  #start(...words) {
    const program = new Program(words);
    this.#programs.push(program);
    return program;
  }
}

/** One run of our program. */
export class Program {
  #process;
  #words;
  #binary;
  #inbox = new Mailbox();
  #pending = Buffer.alloc(0);
  #exit;
  /** All that it said on stderr. */
  errors = '';

  constructor(words) {
    this.#words = words;
    this.#binary = words.includes('--binary');
    this.#process = spawn(process.env.SWITCHBOARD, words);
    this.#process.stdin.on('error', () => {});
    this.#process.stdout.on('data', (bytes) => this.#receive(bytes));
    this.#process.stderr.on('data', (bytes) => (this.errors += bytes));
    this.#exit = once(this.#process, 'close').then(([code, signal]) => code ?? signal);
  }

  get pid() {
    return this.#process.pid;
  }

  /** Waits until it says where it listens, and keeps that as `url` and `port`. */
  async listening() {
    const [, url, port] = await this.says(/^listening on (\S+:(\d+)(?:\/\S*)?)$/m);
    this.url = url;
    this.port = Number(port);
  }

  /** Waits for words on stderr. */
  async says(pattern) {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
      const match = this.errors.match(pattern);
      if (match) return match;
      if (Date.now() > deadline || this.#process.exitCode !== null) {
        throw new Error(`the program has not said ${pattern}`);
      }
      await Promise.race([once(this.#process.stderr, 'data'), once(this.#process, 'exit'), pause(100)]);
    }
  }

  /** Has it send one message: a line, or with `--binary` a Buffer. */
  send(message) {
    if (!this.#binary) return this.#process.stdin.write(`${message}\n`);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(message.length);
    return this.#process.stdin.write(Buffer.concat([length, message]));
  }

  /** Ends its stdin: nothing more to send. */
  hangUp() {
    this.#process.stdin.end();
  }

  /** The next message that it printed. */
  message() {
    return within(this.#inbox.take(), 'a message on stdout');
  }

  /** Stops and goes on to read what it prints. */
  pauseReading() {
    this.#process.stdout.pause();
  }

  resumeReading() {
    this.#process.stdout.resume();
  }

  /** Its exit code, once it has ended by itself. */
  exit() {
    return within(this.#exit, 'the end of the program');
  }

  async stop() {
    this.#process.kill('SIGTERM');
    const ended = await Promise.race([this.#exit, pause(5000)]);
    if (ended === undefined) this.#process.kill('SIGKILL');
    await this.#exit;
  }

  story() {
    return `switchboard ${this.#words.join(' ')}\n${this.errors}`;
  }

  #receive(bytes) {
    this.#pending = Buffer.concat([this.#pending, bytes]);
    for (let taken; (taken = this.#binary ? block(this.#pending) : line(this.#pending)); ) {
      this.#inbox.put(taken.message);
      this.#pending = this.#pending.subarray(taken.length);
    }
  }
}

/** Things that come, for those who wait for them. */
export class Mailbox {
  #things = [];
  #waiting = [];

  put(thing) {
    const first = this.#waiting.shift();
    first ? first(thing) : this.#things.push(thing);
  }

  take() {
    if (this.#things.length > 0) return Promise.resolve(this.#things.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  get size() {
    return this.#things.length;
  }
}

/** Fails when a promise takes too long. */
export function within(promise, what, time = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} has not come in ${time} ms`)), time);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

/** Bytes of a given length that differ from place to place. */
export const bytes = (length) => Buffer.alloc(length).map((_, at) => (at * 31 + (at >> 8)) & 255);

function block(pending) {
  if (pending.length < 4) return null;
  const end = 4 + pending.readUInt32BE();
  return pending.length < end ? null : { message: Buffer.from(pending.subarray(4, end)), length: end };
}

function line(pending) {
  const end = pending.indexOf('\n');
  return end < 0 ? null : { message: pending.subarray(0, end).toString(), length: end + 1 };
}

const indented = (text) => text.replace(/^/gm, '    ');
