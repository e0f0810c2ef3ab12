/** A server in memory: tokens that rotate, and the connect and refresh of the Centrifuge protocol. */
import type { Device } from './host.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const HOUR = 3_600_000;

/** The engine has neither `btoa` nor `Buffer`. ASCII alone. */
function base64url(text: string): string {
  let out = '';
  for (let n = 0; n < text.length; n += 3) {
    const [a, b, c] = [text.charCodeAt(n), text.charCodeAt(n + 1), text.charCodeAt(n + 2)];
    const bits = (a << 16) | ((b || 0) << 8) | (c || 0);
    const digits = Math.min(4, text.length - n + 1);
    for (let d = 0; d < digits; d += 1) out += ALPHABET[(bits >> (18 - 6 * d)) & 63];
  }
  return out;
}

export interface Call {
  readonly path: string;
  readonly refreshToken: string;
}

export class Server {
  readonly #device: Device;
  readonly calls: Call[] = [];
  /** Tokens that sockets connected with. */
  readonly connects: string[] = [];
  readonly sockets = new Set<Socket>();
  reachable = true;
  revoked = false;
  #counter = 0;

  constructor(device: Device) {
    this.#device = device;
  }

  /** A pair that is longer than one item of SecureStore takes. */
  mint(): { accessToken: string; refreshToken: string; expiresAt: number } {
    this.#counter += 1;
    const now = this.#device.wall;
    const exp = Math.floor((now + HOUR) / 1_000);
    const custom = { role: 'admin', note: 'x'.repeat(1_500) };
    const claims = {
      sub: 'ann',
      sid: 'ses_1',
      rc: this.#counter,
      iat: exp - 3_600,
      exp,
      name: 'Ann',
      custom,
    };
    return {
      accessToken: `${base64url('{"alg":"EdDSA"}')}.${base64url(JSON.stringify(claims))}.c2ln`,
      refreshToken: `refresh-${this.#counter}`,
      expiresAt: now + HOUR,
    };
  }

  readonly fetch = async (url: string, init: { body: string }) => {
    if (!this.reachable) throw new TypeError('Network request failed');
    const { refreshToken } = JSON.parse(init.body) as { refreshToken: string };
    const path = url.replace(/^https?:\/\/[^/]+/, '');
    this.calls.push({ path, refreshToken });
    if (path === '/auth/revoke') this.revoked = true;
    const body = path === '/auth/refresh' ? { ...this.mint(), serverTime: this.#device.wall } : {};
    const headers = { get: (name: string) => (name === 'content-type' ? 'application/json' : null) };
    return { status: 200, headers, text: async () => JSON.stringify(body) };
  };

  /** The constructor to make global. */
  get webSocket(): unknown {
    const server = this;
    return function open(url: string): Socket {
      return new Socket(server, url);
    };
  }

  /** The network drops the open connections. */
  drop(): void {
    for (const socket of [...this.sockets]) socket.end(1006);
  }
}

/** The engine's own queue. */
declare function setImmediate(fn: () => void): void;

class Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  readonly #server: Server;
  readonly url: string;

  constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
    server.sockets.add(this);
    setImmediate(() => (server.reachable ? this.onopen?.() : this.end(1006)));
  }

  send(data: string): void {
    for (const line of data.split('\n')) {
      const command = JSON.parse(line) as { id?: number; connect?: { token: string }; refresh?: unknown };
      if (command.connect) this.#server.connects.push(command.connect.token);
      const connect = { client: 'c', version: '', expires: true, ttl: 3_600 };
      const answer = command.connect ? { connect } : command.refresh ? { refresh: connect } : null;
      if (answer === null) continue;
      setImmediate(() => this.onmessage?.({ data: JSON.stringify({ id: command.id, ...answer }) }));
    }
  }

  close(): void {
    this.end(1000);
  }

  end(code: number): void {
    if (!this.#server.sockets.delete(this)) return;
    setImmediate(() => this.onclose?.({ code, reason: '' }));
  }
}
