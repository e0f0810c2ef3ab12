/** The world of a scenario, and its steps. */
import { ServerDouble } from '../server-double.ts';
import { Device, START } from '../world/device.ts';
import { FAULTS, Place } from '../world/place.ts';
import { Client, POINTS } from './client.ts';
import { differences } from './expectations.ts';
import {
  count,
  duration,
  type Json,
  type JsonObject,
  list,
  object,
  type Scenario,
  text,
  word,
} from './format.ts';
import { KINDS, Link } from './link.ts';
import { Names } from './names.ts';

const WORLD = [
  'accessTtl',
  'refreshTtl',
  'absoluteTtl',
  'serverAhead',
  'locks',
  'channel',
  'storageEvents',
  'random',
  'clients',
];

/** Takes the steps of `scenario`. Throws at the first that does not go as it says. */
export async function run(scenario: Scenario): Promise<void> {
  const world = new World(scenario.world);
  for (const [index, step] of scenario.steps.entries()) {
    try {
      await world.take(step);
    } catch (error) {
      throw new Error(`step ${index + 1} ${JSON.stringify(step)}\n${String(error)}`, { cause: error });
    }
  }
}

export class World {
  readonly device = new Device();
  readonly names = new Names();
  readonly server: ServerDouble;
  readonly link: Link;
  /** What `getToken` and `refused` came to, by their `as`. */
  readonly tokens = new Map<string, Json>();
  readonly #clients = new Map<string, Client>();
  readonly #places = new Map<string, Place>();
  #ahead: number;
  #restore: (() => void) | null = null;

  constructor(options: JsonObject) {
    object(options, WORLD);
    this.#ahead = duration(options.serverAhead ?? '0s');
    this.server = new ServerDouble(() => START + this.device.elapsed + this.#ahead);
    this.server.ttl = {
      access: duration(options.accessTtl ?? '1h'),
      refresh: duration(options.refreshTtl ?? '7d'),
      absolute: duration(options.absoluteTtl ?? '90d'),
    };
    this.link = new Link(this.device, this.server, this.names);
    for (const [name, own] of Object.entries(object(options.clients ?? { a: {} }))) {
      const client = new Client(options, object(own), this.device, this.link, (place) => this.#place(place));
      this.#clients.set(name, client);
    }
  }

  client(name: string): Client {
    const client = this.#clients.get(name);
    if (client === undefined) throw new Error(`there is no client ${name}`);
    return client;
  }

  sessionState(name: string): string {
    return this.server.ended.get(name) ?? 'live';
  }

  stored(name: string): string | null {
    const token = this.#place(name).record?.accessToken;
    return token === undefined ? null : this.names.ofAccessToken(token);
  }

  outbox(name: string): string[] {
    return (this.#place(name).record?.revoke ?? []).map((token) =>
      this.names.of(token.replace('Bearer ', '')),
    );
  }

  async take(step: JsonObject): Promise<void> {
    const [verb = ''] = Object.keys(step);
    const { device, server } = this;
    const value = step[verb];
    const only = (...keys: string[]): JsonObject => object(step, [verb, ...keys]);
    switch (verb) {
      case 'advance':
        only();
        await device.advance(duration(value));
        break;
      case 'sleep':
        only();
        device.sleep(duration(value));
        break;
      case 'shiftWall':
        only();
        device.shift += duration(value);
        break;
      case 'online':
        only();
        device.setOnline(value === true);
        break;
      case 'mint': {
        const { user, accessTtl } = only('user', 'accessTtl');
        const usual = server.ttl;
        if (accessTtl !== undefined) server.ttl = { ...usual, access: duration(accessTtl) };
        this.names.note(server.mint(text(value), text(user ?? 'ann')));
        server.ttl = usual;
        break;
      }
      case 'connect': {
        const { with: name, given } = only('with', 'given');
        const [session = ''] = text(name).split('.');
        this.client(text(value)).connect(this.names.pair(text(name)), object(given ?? {}), session);
        break;
      }
      case 'disconnect':
        only();
        this.client(text(value)).manager.stop();
        break;
      case 'logout':
        only();
        void this.client(text(value)).manager.logout();
        break;
      case 'kill': {
        const { at } = only('at');
        const client = this.client(text(value));
        if (at === undefined) client.process.kill();
        else client.killAt = word(at, POINTS);
        break;
      }
      case 'freeze':
        only();
        this.client(text(value)).process.freeze();
        break;
      case 'thaw': {
        only();
        const { process } = this.client(text(value));
        await process.thaw();
        process.resume();
        break;
      }
      case 'hide':
        only();
        this.client(text(value)).process.visible = false;
        break;
      case 'show': {
        only();
        const { process } = this.client(text(value));
        process.visible = true;
        process.resume();
        break;
      }
      case 'getToken': {
        const { as, times } = only('as', 'times');
        const { manager } = this.client(text(value));
        for (let n = 0; n < count(times ?? 1); n += 1) this.#note(as, manager.getToken());
        break;
      }
      case 'refused': {
        const { as } = only('as');
        const { manager } = this.client(text(value));
        this.#note(as, manager.tokenOtherThan(manager.tokens?.accessToken ?? null));
        break;
      }
      case 'storage':
        this.#place(text(value)).fault = word(only('fault').fault, FAULTS);
        break;
      case 'store': {
        const { text: written, pair } = only('text', 'pair');
        const stored = pair === undefined ? text(written) : JSON.stringify(this.names.pair(text(pair)));
        this.#place(text(value)).write(stored, null);
        break;
      }
      case 'next':
        for (const kind of kinds(only('of').of)) this.link.next[kind].push(...list(value));
        break;
      case 'every':
        for (const kind of kinds(only('of').of)) this.link.every[kind] = value ?? null;
        break;
      case 'release':
        only();
        this.link.release(text(value));
        break;
      case 'present': {
        const { sentAt, gives } = only('sentAt', 'gives');
        const stamp = sentAt === undefined ? null : server.now() + duration(sentAt);
        const answer = server.refresh(this.names.pair(text(value)).refreshToken, stamp);
        if (typeof answer !== 'string') this.names.note(answer);
        const name = typeof answer === 'string' ? answer : this.names.ofRefreshToken(answer.refreshToken);
        if (name !== gives) throw new Error(`got ${name}`);
        break;
      }
      case 'use': {
        const { gives } = only('gives');
        const refused = server.verify(this.names.pair(text(value)).accessToken);
        if (refused !== (gives ?? null)) throw new Error(`got ${refused}`);
        break;
      }
      case 'revoke':
        only();
        server.end(text(value));
        break;
      case 'ban':
        only();
        server.banned.add(text(value));
        break;
      case 'unban':
        only();
        server.banned.delete(text(value));
        break;
      case 'restart':
        only();
        server.restart();
        break;
      case 'backup':
        only();
        this.#restore = server.backup();
        break;
      case 'restore':
        only();
        if (this.#restore === null) throw new Error('there is no backup');
        this.#restore();
        break;
      case 'accessTtl':
        only();
        server.ttl = { ...server.ttl, access: duration(value) };
        break;
      case 'serverAhead':
        only();
        this.#ahead = duration(value);
        break;
      case 'mark':
        only();
        this.link.requests = [];
        for (const client of this.#clients.values()) client.forget();
        break;
      case 'expect': {
        only();
        const found = differences(this, object(value));
        if (found.length > 0) throw new Error(found.join('\n'));
        break;
      }
      default:
        throw new Error(`unknown step ${verb}`);
    }
    await device.settle();
  }

  #place(name: string): Place {
    const place = this.#places.get(name) ?? new Place();
    this.#places.set(name, place);
    return place;
  }

  #note(as: Json | undefined, work: Promise<string>): void {
    const name = as === undefined ? '' : text(as);
    this.tokens.set(name, 'pending');
    work.then(
      (token) => this.tokens.set(name, this.names.ofAccessToken(token)),
      (error: { code: string }) => this.tokens.set(name, { error: error.code }),
    );
  }
}

function kinds(of: Json | undefined): readonly (typeof KINDS)[number][] {
  return of === 'all' ? KINDS : [word(of ?? 'refresh', KINDS)];
}
