/** A proxy in front of the real server that does to requests what networks do. */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What happens to one request. Where nothing is planned, it passes. */
export type Fault =
  | 'pass'
  /** The connection is cut before the request is forwarded. */
  | 'cut'
  /** The request is carried out, and its reply lost. */
  | 'loseReply'
  /** Nothing is ever answered. */
  | 'hang'
  /** The reply comes byte by byte. */
  | 'split'
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string | Buffer };

/** What the proxy saw of a request. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export class Weather {
  readonly seen: Seen[] = [];
  readonly #plan: Fault[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #server: Server;
  #always: Fault = 'pass';
  url = '';

  private constructor(target: () => string) {
    this.#server = createServer((req, res) => {
      const chunks: Buffer[] = [];
      req.on('data', (chunk) => chunks.push(chunk));
      req.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        this.seen.push({ method: req.method ?? '', path: req.url ?? '', headers: req.headers, body });
        for (const resume of this.#waiting.splice(0)) resume();
        this.#answer(this.#plan.shift() ?? this.#always, target(), req, res, body);
      });
    });
  }

  static async before(target: () => string): Promise<Weather> {
    const weather = new Weather(target);
    await new Promise<void>((ready) => weather.#server.listen(0, '127.0.0.1', ready));
    weather.url = `http://127.0.0.1:${(weather.#server.address() as AddressInfo).port}`;
    return weather;
  }

  /** What happens to the next requests, in turn; forgets what was planned and seen before. */
  next(...faults: Fault[]): void {
    this.seen.length = 0;
    this.#plan.splice(0, this.#plan.length, ...faults);
    this.#always = 'pass';
  }

  /** What happens to all requests from now on. */
  always(fault: Fault): void {
    this.next();
    this.#always = fault;
  }

  /** Resolves when so many requests were seen. */
  async waitFor(requests: number): Promise<void> {
    while (this.seen.length < requests) await new Promise<void>((resume) => this.#waiting.push(resume));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }

  #answer(fault: Fault, target: string, req: IncomingMessage, res: ServerResponse, body: string): void {
    if (fault === 'hang') return;
    if (fault === 'cut') {
      req.socket.destroy();
      return;
    }
    if (typeof fault === 'object') {
      res.writeHead(fault.status, fault.headers).end(fault.body ?? '');
      return;
    }
    const { host: _, ...headers } = req.headers;
    const onward = request(target + req.url, { method: req.method, headers }, (reply) => {
      const lost = fault === 'loseReply';
      if (lost) reply.resume().on('end', () => req.socket.destroy());
      else if (fault === 'split') {
        res.writeHead(reply.statusCode ?? 502, reply.headers);
        reply.on('data', (chunk: Buffer) => {
          for (const byte of chunk) res.write(Buffer.of(byte));
        });
        reply.on('end', () => res.end());
      } else reply.pipe(res.writeHead(reply.statusCode ?? 502, reply.headers));
    });
    onward.on('error', () => req.socket.destroy());
    onward.end(body);
  }
}
