// Both ends that the npm package `ws` has, for our program to talk to.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as http } from 'node:http';
import { createServer as https } from 'node:https';
import { WebSocket, WebSocketServer } from 'ws';
import { Mailbox, bytes, within } from '../shared/switchboard.mjs';

/** Lengths around which the length field of a frame changes its form (RFC 6455, section 5.2), and far beyond. */
export const LENGTHS = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20];
export const RUNTIMES = ['tokio', 'mio'];
export const CA = `${process.env.CERTIFICATES}/authority.pem`;

const certificate = (name) => readFileSync(`${process.env.CERTIFICATES}/${name}`);

/** One end of a connection, whose messages wait until they are asked for. */
export class Peer {
  #inbox = new Mailbox();
  #closed;

  constructor(socket) {
    this.socket = socket;
    socket.on('message', (data, binary) => this.#inbox.put(binary ? data : data.toString()));
    socket.on('error', () => {});
    this.#closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
  }

  /** A text message arrives as a string, a binary one as a Buffer. */
  message() {
    return within(this.#inbox.take(), 'a message at the peer');
  }

  get waiting() {
    return this.#inbox.size;
  }

  pong() {
    return within(once(this.socket, 'pong'), 'a pong').then(([payload]) => payload.toString());
  }

  closed() {
    return within(this.#closed, 'the end of the connection');
  }

  /** Ends the connection as a pulled plug would that still resets it. */
  cut() {
    this.socket._socket.resetAndDestroy();
  }

  /** Sends a message in parts, a frame each. */
  sendInParts(...parts) {
    parts.forEach((part, at) => this.socket.send(part, { fin: at === parts.length - 1 }));
  }
}

/** A client that has connected. */
export async function connect(scene, url, protocols = [], options = {}) {
  const socket = new WebSocket(url, protocols, options);
  scene.atEnd(() => socket.terminate());
  const peer = new Peer(socket);
  await within(once(socket, 'open'), 'the connection');
  return peer;
}

/** The words with which a client fails to connect. */
export async function refused(scene, url, protocols = [], options = {}) {
  const failure = await connect(scene, url, protocols, options).then(() => 'it connected', (error) => error);
  if (failure instanceof Error) return failure.message;
  throw new Error(failure);
}

/** A server, with TLS if `secure`, whose clients come one by one. */
export class Server {
  #clients = new Mailbox();

  static async start(scene, { secure, ...options } = {}) {
    const server = new Server();
    const identity = secure && { cert: certificate('local.pem'), key: certificate('local.key') };
    const listener = secure ? https(identity) : http();
    const sockets = new WebSocketServer({ server: listener, ...options });
    sockets.on('connection', (socket, request) => {
      server.request = request;
      server.#clients.put(new Peer(socket));
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    scene.atEnd(() => {
      sockets.clients.forEach((socket) => socket.terminate());
      listener.close();
    });
    server.url = `${secure ? 'wss' : 'ws'}://127.0.0.1:${listener.address().port}/`;
    return server;
  }

  client() {
    return within(this.#clients.take(), 'a client');
  }
}

/** More than all buffers between two programs hold: messages that are told apart by their first bytes. */
export function burst() {
  return Array.from({ length: 200 }, (_, at) => {
    const message = bytes(256 * 1024);
    message.writeUInt32BE(at);
    return message;
  });
}
