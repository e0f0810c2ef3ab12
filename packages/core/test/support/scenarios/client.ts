/** A client of a scenario: the real manager in a process of the device, and what it told of. */
import { ChatError, type RefreshError } from '../../../src/errors.ts';
import { redacting } from '../../../src/logger.ts';
import { readConnectInput } from '../../../src/tokens/input.ts';
import { TokenManager } from '../../../src/tokens/token-manager.ts';
import type { Tokens } from '../../../src/tokens/types.ts';
import { API } from '../scene.ts';
import type { Device } from '../world/device.ts';
import type { Place } from '../world/place.ts';
import { Process } from '../world/process.ts';
import { duration, flag, type JsonObject, object, text, word } from './format.ts';
import type { Link } from './link.ts';

const KEYS = [
  'user',
  'refreshBuffer',
  'random',
  'locks',
  'channel',
  'storageEvents',
  'storage',
  'visible',
  'socket',
  'hostRefresh',
  'onTokenRefresh',
  'onRefreshError',
];
const CALLBACKS = ['ok', 'throw', 'hang', 'absent'] as const;
export const POINTS = ['sent', 'saving', 'saved', 'telling'] as const;
export type Point = (typeof POINTS)[number];

/** What a client told of since the last `mark`. */
export interface Log {
  told: Tokens[];
  errors: RefreshError[];
  ends: string[];
  storageErrors: number;
}

export class Client {
  readonly user: string;
  log: Log = empty();
  /** What the last connect failed with. */
  connectError: string | null = null;
  killAt: Point | null = null;
  process: Process;
  manager: TokenManager;
  #session = '';
  readonly #options: JsonObject;
  readonly #device: Device;
  readonly #link: Link;
  readonly #place: Place;

  constructor(
    world: JsonObject,
    own: JsonObject,
    device: Device,
    link: Link,
    place: (name: string) => Place,
  ) {
    const { random, locks, channel, storageEvents } = world;
    const inherited = Object.entries({ random, locks, channel, storageEvents });
    this.#options = object(
      { ...Object.fromEntries(inherited.filter(([, value]) => value !== undefined)), ...own } as JsonObject,
      KEYS,
    );
    this.user = text(this.#options.user ?? 'ann');
    this.#device = device;
    this.#link = link;
    this.#place = place(
      text(this.#options.storage ?? (this.user === 'ann' ? 'shared' : `shared:${this.user}`)),
    );
    this.process = this.#begin();
    this.manager = this.#manager(this.process);
  }

  /** The app calls `connect`. A process that is gone is started anew. */
  connect(pair: Tokens, given: JsonObject, session: string): void {
    if (!this.process.alive) {
      this.process = this.#begin();
      this.manager = this.#manager(this.process);
    }
    this.#session = session;
    this.connectError = null;
    const fail = (error: unknown): void => {
      if (!(error instanceof ChatError)) throw error;
      this.connectError = error.code;
    };
    try {
      const input = { userID: this.user, token: pair.accessToken, ...this.#given(pair, given) };
      const { userID, tokens } = readConnectInput(input, this.#device.wall(), redacting());
      if (userID !== this.user) throw new Error('a client is of one user');
      this.manager.start(tokens).catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  forget(): void {
    this.log = empty();
  }

  #given(pair: Tokens, given: JsonObject): { refreshToken?: string; expiresAt?: number | string } {
    object(given, ['token', 'refreshToken', 'expiresAt']);
    const made: Record<string, unknown> = {
      refreshToken: pair.refreshToken,
      expiresAt: pair.expiresAt,
      ...given,
    };
    if (given.refreshToken === null || flag(this.#options.hostRefresh, false)) delete made.refreshToken;
    if (given.expiresAt === 'seconds') made.expiresAt = Math.floor(pair.expiresAt / 1_000);
    if (given.expiresAt === 'absent') delete made.expiresAt;
    return made;
  }

  #begin(): Process {
    const options = this.#options;
    const hooks = { saving: () => this.#reach('saving'), saved: () => this.#reach('saved') };
    const mine = (): Process => this.process;
    return new Process(this.#device, {
      random: () => Number(options.random ?? 0.5),
      locks: flag(options.locks, true),
      channel: flag(options.channel, true),
      visible: flag(options.visible, true),
      fetch: this.#link.fetch(mine, () => this.#reach('sent')),
      storage: this.#place.adapter(mine, flag(options.storageEvents, true), hooks),
    });
  }

  #manager(process: Process): TokenManager {
    const options = this.#options;
    const { log } = { log: () => this.log };
    const onToken = word(options.onTokenRefresh ?? 'ok', CALLBACKS);
    const onError = word(options.onRefreshError ?? 'ok', CALLBACKS);
    const host = flag(options.hostRefresh, false);
    const manager = new TokenManager({
      apiUrl: API,
      userID: this.user,
      platform: process.platform,
      refreshBufferMs: options.refreshBuffer === undefined ? undefined : duration(options.refreshBuffer),
      inUse: () => flag(options.socket, true),
      refreshTokens: host ? ({ sentAt }) => this.#link.host(this.#session, sentAt, process) : undefined,
      onTokenRefresh:
        onToken === 'absent'
          ? undefined
          : (tokens) => {
              this.#reach('telling');
              if (!process.alive) return new Promise(() => {});
              log().told.push(tokens);
              return behave(onToken);
            },
      onRefreshError:
        onError === 'absent'
          ? undefined
          : (error) => {
              log().errors.push(error);
              return behave(onError);
            },
    });
    manager.on('ended', ({ reason }) => log().ends.push(reason));
    manager.on('storageError', () => {
      log().storageErrors += 1;
    });
    return manager;
  }

  #reach(point: Point): void {
    if (this.killAt !== point) return;
    this.killAt = null;
    this.process.kill();
  }
}

function behave(how: 'ok' | 'throw' | 'hang'): void | Promise<void> {
  if (how === 'throw') throw new Error('the callback of the app throws');
  if (how === 'hang') return new Promise(() => {});
}

function empty(): Log {
  return { told: [], errors: [], ends: [], storageErrors: 0 };
}
