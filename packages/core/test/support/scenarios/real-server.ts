/** Takes the steps of a server scenario with the real server: real time, real tokens. */
import type { Binary, Minted } from '../binary.ts';
import { duration, type Json, type JsonObject, object, type Scenario, text } from './format.ts';

interface Pairs {
  /** The server's name of the session. */
  readonly id: string;
  readonly user: string;
  readonly refreshTokens: string[];
  readonly accessTokens: string[];
}

export class RealServer {
  readonly #server: Binary;
  readonly #world: JsonObject;
  readonly #sessions = new Map<string, Pairs>();
  readonly #prefix: string;

  /** `prefix` keeps the users of this scenario apart from those of others. */
  constructor(server: Binary, scenario: Scenario, prefix: string) {
    this.#server = server;
    this.#prefix = prefix;
    this.#world = object(scenario.world, ['accessTtl', 'refreshTtl', 'absoluteTtl']);
  }

  async take(step: JsonObject): Promise<void> {
    const [verb = ''] = Object.keys(step);
    const value = text(verb === 'expect' || verb === 'restart' ? verb : step[verb]);
    switch (verb) {
      case 'mint':
        return await this.#mint(value, text(step.user ?? 'ann'));
      case 'present':
        return await this.#present(value, step);
      case 'use': {
        const refused = await this.#use(this.#token(value, 'accessTokens'));
        if (refused !== (step.gives ?? null)) throw new Error(`got ${refused}`);
        return;
      }
      case 'revoke':
        await this.#server.call(
          'DELETE',
          `/auth/users/${this.#session(value).user}/sessions/${this.#session(value).id}`,
        );
        return;
      case 'ban':
        await this.#server.call('POST', `/auth/users/${this.#prefix}-${value}/ban`, {});
        return;
      case 'restart':
        await this.#server.stop();
        return await this.#server.run();
      case 'advance': {
        // Its clock is the machine's: time is passed with asking.
        const end = Date.now() + duration(value);
        while (Date.now() <= end) await this.#server.call('GET', '/healthz');
        return;
      }
      case 'expect': {
        const { sessions } = object(step.expect, ['sessions']);
        for (const [name, state] of Object.entries(object(sessions))) await this.#compare(name, state);
        return;
      }
      default:
        throw new Error(`unknown step ${verb}`);
    }
  }

  async #mint(name: string, user: string): Promise<void> {
    const { accessTtl = '1h', refreshTtl = '7d', absoluteTtl = '90d' } = this.#world;
    const minted = await this.#server.mint(`${this.#prefix}-${user}`, {
      accessTokenExpiry: accessTtl,
      refreshTokenExpiry: refreshTtl,
      sessionExpiry: absoluteTtl,
    });
    this.#sessions.set(name, {
      id: minted.sessionId,
      user: `${this.#prefix}-${user}`,
      refreshTokens: [minted.refreshToken],
      accessTokens: [minted.accessToken],
    });
  }

  async #present(name: string, { sentAt, gives }: JsonObject): Promise<void> {
    const refreshToken = this.#token(name, 'refreshTokens');
    const stamp = sentAt === undefined ? {} : { sentAt: Date.now() + duration(sentAt) };
    const response = await fetch(`${this.#server.api}/auth/refresh`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ refreshToken, ...stamp }),
    });
    const body = (await response.json()) as Minted & { code?: string };
    const [session = ''] = name.split('.');
    const given = response.ok ? this.#name(session, body) : body.code;
    if (given !== gives) throw new Error(`got ${given}`);
  }

  /** What the pair of a reply is called: by its refresh token, which is the same text when it is given again. */
  #name(name: string, { accessToken, refreshToken }: Minted): string {
    const { refreshTokens, accessTokens } = this.#session(name);
    if (!refreshTokens.includes(refreshToken)) {
      refreshTokens.push(refreshToken);
      accessTokens.push(accessToken);
    }
    return `${name}.${refreshTokens.indexOf(refreshToken)}`;
  }

  /** Any call with an access token: the code that it is refused with, or null. */
  async #use(token: string): Promise<string | null> {
    const headers = { Authorization: `Bearer ${token}` };
    const response = await fetch(`${this.#server.api}/auth/sessions`, { headers });
    return response.ok ? null : ((await response.json()) as { code: string }).code;
  }

  async #compare(name: string, state: Json): Promise<void> {
    const { user, id } = this.#session(name);
    const { sessions } = (await this.#server.call('GET', `/auth/users/${user}/sessions`)) as {
      sessions: { id: string }[];
    };
    const live = sessions.some((one) => one.id === id);
    if (live !== (state === 'live')) throw new Error(`${name} is ${live ? 'live' : 'over'}`);
  }

  #session(name: string): Pairs {
    const pairs = this.#sessions.get(name);
    if (pairs === undefined) throw new Error(`there is no session ${name}`);
    return pairs;
  }

  #token(name: string, kind: 'refreshTokens' | 'accessTokens'): string {
    const [session = '', index] = name.split('.');
    const token = this.#session(session)[kind][Number(index)];
    if (token === undefined) throw new Error(`there is no pair ${name} yet`);
    return token;
  }
}
