/** Between clients and server: counts what is sent, and answers as the scenario says. */
import type { HttpReply, Platform } from '../../../src/platform/platform.ts';
import { problem, reply } from '../fake-platform.ts';
import type { ServerDouble } from '../server-double.ts';
import type { Device } from '../world/device.ts';
import type { Process } from '../world/process.ts';
import { duration, type Json, type JsonObject, list, object, text } from './format.ts';
import type { Names } from './names.ts';

export const KINDS = ['refresh', 'revoke', 'host'] as const;
export type Kind = (typeof KINDS)[number];

export interface Request {
  readonly kind: Kind;
  /** True time since the start, ms. */
  readonly at: number;
  /** What was presented, by its name. */
  readonly presented: string;
  /** By the sender's word, less the server's clock, ms. */
  readonly sentAt: number | null;
}

type Sent = Request & { readonly token: string; readonly stamp: number | null };

const STATUS: Record<string, number> = { request_stale: 408, user_banned: 403 };

export class Link {
  requests: Request[] = [];
  readonly next: Record<Kind, Json[]> = { refresh: [], revoke: [], host: [] };
  readonly every: Record<Kind, Json> = { refresh: 'model', revoke: 'model', host: 'model' };
  readonly #device: Device;
  readonly #server: ServerDouble;
  readonly #names: Names;
  readonly #held = new Map<string, () => void>();

  constructor(device: Device, server: ServerDouble, names: Names) {
    this.#device = device;
    this.#server = server;
    this.#names = names;
  }

  /** What a client fetches with. `sent` is called when the server has handled a refresh. */
  fetch(process: () => Process, sent: () => void): Platform['fetch'] {
    return async (url, init) => {
      const body = object(JSON.parse(init.body ?? '{}'));
      const kind = url.endsWith('/auth/refresh') ? 'refresh' : 'revoke';
      const stamp = typeof body.sentAt === 'number' ? body.sentAt : null;
      const aborted = new Promise<never>((_, reject) => {
        init.signal?.addEventListener('abort', () => reject(new Error('aborted')));
      });
      // A session without a refresh token of its own is revoked with its access token.
      const token = body.refreshToken ?? init.headers.Authorization?.replace('Bearer ', '');
      const work = this.#send(kind, text(token), stamp, process(), sent);
      return await Promise.race([work, aborted]);
    };
  }

  /** The host's backend, which holds the newest refresh token of the session, refreshes with it, and passes on `sentAt`. */
  async host(session: string, sentAt: number, process: Process): Promise<Record<string, unknown>> {
    const { refreshToken } = this.#names.newest(session);
    const answer = await process.arrive(this.#send('host', refreshToken, sentAt, process, () => {}));
    if (answer.status !== 200 && answer.status !== 408)
      throw new Error(`the backend answered ${answer.status}`);
    const { refreshToken: _kept, ...given } = JSON.parse(await answer.text());
    return given;
  }

  release(name: string): void {
    const go = this.#held.get(name);
    if (go === undefined) throw new Error(`nothing is held as ${name}`);
    this.#held.delete(name);
    go();
  }

  async #send(
    kind: Kind,
    token: string,
    stamp: number | null,
    process: Process,
    sent: () => void,
  ): Promise<HttpReply> {
    const presented = this.#names.of(token);
    const sentAt = stamp === null ? null : stamp - this.#server.now();
    const request = { kind, at: this.#device.elapsed, presented, sentAt, token, stamp };
    this.requests.push(request);
    if (!this.#device.online && kind !== 'host') throw new TypeError('the device is offline');
    const answer = await this.#answer(this.next[kind].shift() ?? this.every[kind], request, process);
    if (kind === 'refresh') sent();
    return answer;
  }

  async #answer(answer: Json, request: Sent, process: Process): Promise<HttpReply> {
    if (answer === 'model') return this.#model(request);
    const said = object(answer);
    switch (Object.keys(said)[0]) {
      case 'problem': {
        const {
          problem: code,
          status,
          retryAfter,
          serverTime,
        } = object(said, ['problem', 'status', 'retryAfter', 'serverTime']);
        const made = problem(Number(status), text(code), serverTime === undefined ? {} : { serverTime });
        return retryAfter === undefined ? made : withRetryAfter(made, duration(retryAfter));
      }
      case 'status': {
        const { status, body, retryAfter } = object(said, ['status', 'body', 'retryAfter']);
        const made = foreign(Number(status), text(body));
        return retryAfter === undefined ? made : withRetryAfter(made, duration(retryAfter));
      }
      case 'lost': {
        if (said.lost === 'reply') this.#model(request);
        throw new TypeError('the connection was lost');
      }
      case 'hang':
        return await new Promise(() => {});
      case 'delay': {
        const made = this.#model(request);
        await new Promise<void>((resume) => {
          process.after(duration(said.delay), resume);
        });
        return made;
      }
      case 'hold':
        await this.#hold(text(said.hold));
        return await this.#answer(said.then ?? 'model', request, process);
      case 'holdReply': {
        const made = this.#model(request);
        await this.#hold(text(said.holdReply));
        return made;
      }
      case 'reply':
        return await this.#edited(object(said.reply, ['without', 'with', 'user']), request);
      default:
        throw new Error(`unknown answer ${JSON.stringify(answer)}`);
    }
  }

  #hold(name: string): Promise<void> {
    return new Promise((resume) => this.#held.set(name, resume));
  }

  #model({ kind, token, stamp, presented }: Sent): HttpReply {
    if (kind === 'revoke') {
      this.#server.end(presented.split('.')[0] ?? '');
      return reply(200, {});
    }
    const answer = this.#server.refresh(token, stamp);
    if (typeof answer === 'string') {
      return problem(STATUS[answer] ?? 401, answer, { serverTime: this.#server.now() });
    }
    this.#names.note(answer);
    return reply(200, answer);
  }

  async #edited(edit: JsonObject, request: Sent): Promise<HttpReply> {
    const made = this.#model(request);
    const body = JSON.parse(await made.text());
    for (const field of list(edit.without ?? [])) delete body[text(field)];
    Object.assign(body, edit.with ?? {});
    if (edit.user !== undefined) {
      const other = this.#server.mint('of-somebody-else', text(edit.user));
      Object.assign(body, { accessToken: other.accessToken, user: other.user });
    }
    return reply(made.status, body);
  }
}

function foreign(status: number, body: string): HttpReply {
  if (body === 'html') return reply(status, '<html>something else</html>', { 'content-type': 'text/html' });
  if (body === 'json') return reply(status, { error: 'something else' });
  if (body === 'empty') return reply(status, '');
  throw new Error(`unknown body ${body}`);
}

function withRetryAfter(made: HttpReply, ms: number): HttpReply {
  const get = (name: string): string | null =>
    name.toLowerCase() === 'retry-after' ? String(ms / 1_000) : made.headers.get(name);
  return { ...made, headers: { get } };
}
