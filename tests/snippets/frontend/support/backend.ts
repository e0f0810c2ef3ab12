/**
 * "Your backend", as small as can be: knows who is logged in, serves the pages, and gets tokens with the API
 * key. What a real one looks like is shown by the examples of backends.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname } from 'node:path';
import type { Binary } from '../../../../packages/core/test/support/binary.ts';
import type { Files } from './bundle.ts';

/** What the app sends to show who is logged in. */
export const AUTH_TOKEN = 'auth-token-of-ann';

const TYPES: Record<string, string> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
};

export interface BackendOptions {
  /** The chat server. */
  readonly chat: Binary;
  /** Whom it takes the caller for. */
  readonly userId: string;
  /** What the caller shows to be taken for that person. */
  readonly authToken?: string;
  /** How long the access tokens live. */
  readonly ttl?: string;
  readonly custom?: Record<string, unknown>;
  readonly files?: Files;
}

export class Backend {
  readonly #options: BackendOptions;
  readonly #server: Server;
  /** The paths that were asked for, but for files. */
  readonly calls: string[] = [];
  /** The sessions that were opened. */
  readonly sessions: string[] = [];

  private constructor(options: BackendOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        response.writeHead(500).end(String(error));
      });
    });
  }

  static async start(options: BackendOptions): Promise<Backend> {
    const backend = new Backend(options);
    await new Promise<void>((ready) => backend.#server.listen(0, '127.0.0.1', ready));
    return backend;
  }

  get url(): string {
    return `http://localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').replace(/\?.*$/, '');
    const route = `${request.method} ${path}`;
    const json = (status: number, body: unknown, headers: Record<string, string> = {}): void => {
      response
        .writeHead(status, { 'Content-Type': 'application/json', ...headers })
        .end(JSON.stringify(body));
    };
    switch (route) {
      case 'POST /api/chat/token':
      case 'POST /chat/token': {
        this.calls.push(path);
        if (request.headers.authorization !== `Bearer ${this.#options.authToken ?? AUTH_TOKEN}`) {
          return json(401, { error: 'Unauthorized' });
        }
        return json(200, await this.#mint());
      }
      case 'POST /api/chat/cookie-token': {
        this.calls.push(path);
        return this.#withCookie(json, await this.#mint());
      }
      case 'POST /api/chat/refresh': {
        this.calls.push(path);
        const refreshToken = /(?:^|; )chatRefreshToken=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];
        if (refreshToken === undefined) return json(401, { error: 'no cookie' });
        return this.#withCookie(json, await this.#options.chat.refresh(refreshToken));
      }
      case 'POST /api/auth/logout': {
        this.calls.push(path);
        const { chat, userId } = this.#options;
        for (const id of this.sessions.splice(0)) {
          await chat.call('DELETE', `/auth/users/${userId}/sessions/${id}`);
        }
        response.writeHead(204).end();
        return;
      }
      default: {
        const file = this.#options.files?.get(path) ?? this.#options.files?.get('/index.html');
        if (request.method !== 'GET' || file === undefined) return json(404, { error: `no ${route}` });
        const name = this.#options.files?.has(path) ? path : '/index.html';
        response.writeHead(200, { 'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream' });
        response.end(file);
      }
    }
  }

  async #mint() {
    const { chat, userId, ttl = '3s', custom = {} } = this.#options;
    const minted = await chat.mint(userId, { name: 'Ann', custom, accessTokenExpiry: ttl });
    this.sessions.push(minted.sessionId);
    return minted;
  }

  #withCookie(
    json: (status: number, body: unknown, headers: Record<string, string>) => void,
    {
      accessToken,
      refreshToken,
      expiresAt,
    }: { accessToken: string; refreshToken: string; expiresAt: number },
  ): void {
    const cookie = `chatRefreshToken=${refreshToken}; HttpOnly; Secure; SameSite=Strict; Path=/; Max-Age=604800`;
    json(200, { accessToken, expiresAt }, { 'Set-Cookie': cookie });
  }
}
