/**
 * Tabs of one user on one device, between a server that keeps to the decision table and whatever happens to phones
 * and browsers. What happens is a list of {@link Fault}s; chance comes from a seed.
 */
import { TokenManager } from '../../src/tokens/token-manager.ts';
import type { Tokens } from '../../src/tokens/types.ts';
import { problem, reply } from './fake-platform.ts';
import { API } from './scene.ts';
import { read, ServerDouble } from './server-double.ts';
import { Device, START } from './world/device.ts';
import { type Fault as Failing, Place } from './world/place.ts';
import { Process } from './world/process.ts';

const MINUTE = 60_000;

/** What may become of a request. */
export const WEATHER = [
  'lost request',
  'lost reply',
  'late request',
  'late reply',
  'hang',
  '500',
  '429',
  'html',
] as const;

/** One thing that happens. `tab` counts from the first, over and over. */
export type Fault =
  | { do: 'pass' | 'sleep' | 'shift'; ms: number }
  | { do: 'weather'; of: (typeof WEATHER)[number]; requests: number }
  | { do: 'online'; online: boolean }
  | { do: 'freeze' | 'thaw' | 'hide' | 'show' | 'use' | 'open'; tab: number }
  /** It is gone after so many more things that reach it: replies, timers, locks, messages, storage. */
  | { do: 'kill'; tab: number; after: number }
  | { do: 'restart' | 'backup' | 'restore' }
  | { do: 'storage'; fault: Failing };

export interface Circumstances {
  tabs: number;
  locks: boolean;
  channel: boolean;
  /** Whether tabs are told when another changes the storage. */
  events: boolean;
  ttl: number;
  serverAhead: number;
  seed: number;
}

export interface Tab {
  process: Process;
  manager: TokenManager;
  ends: string[];
  told: Tokens[];
}

export class Lifecycle {
  readonly device = new Device();
  readonly server: ServerDouble;
  readonly place = new Place();
  readonly tabs: Tab[] = [];
  /** When each refresh left, in ms of awake time. */
  readonly refreshes: number[] = [];
  /** What every tab begins with. */
  readonly minted: Tokens;
  readonly #circumstances: Circumstances;
  readonly #weather: (typeof WEATHER)[number][] = [];
  #restore: () => void;
  #chance: number;

  constructor(circumstances: Circumstances) {
    this.#circumstances = circumstances;
    this.#chance = circumstances.seed;
    this.server = new ServerDouble(() => START + this.device.elapsed + circumstances.serverAhead);
    this.server.ttl = { access: circumstances.ttl, refresh: 400 * 86_400_000, absolute: 4_000 * 86_400_000 };
    this.minted = this.server.mint('s', 'ann');
    this.#restore = this.server.backup();
  }

  /** Opens every tab. */
  async begin(): Promise<void> {
    for (let nth = 0; nth < this.#circumstances.tabs; nth += 1) this.#open(nth);
    await this.device.settle();
  }

  async happen(fault: Fault): Promise<void> {
    const { device, server } = this;
    switch (fault.do) {
      case 'pass':
        await device.advance(fault.ms);
        break;
      case 'sleep':
        device.sleep(fault.ms);
        break;
      case 'shift':
        device.shift += fault.ms;
        break;
      case 'weather':
        for (let n = 0; n < fault.requests; n += 1) this.#weather.push(fault.of);
        break;
      case 'online':
        device.setOnline(fault.online);
        break;
      case 'freeze':
        this.#tab(fault.tab).process.freeze();
        break;
      case 'thaw':
        await this.#tab(fault.tab).process.thaw();
        this.#tab(fault.tab).process.resume();
        break;
      case 'hide':
        this.#tab(fault.tab).process.visible = false;
        break;
      case 'show':
        this.#tab(fault.tab).process.visible = true;
        this.#tab(fault.tab).process.resume();
        break;
      case 'use':
        this.#use(this.#tab(fault.tab));
        break;
      case 'kill':
        this.#kill(this.#tab(fault.tab).process, fault.after);
        break;
      case 'open':
        if (!this.#tab(fault.tab).process.alive) this.#open(fault.tab % this.tabs.length);
        break;
      case 'restart':
        server.restart();
        break;
      case 'backup':
        this.#restore = server.backup();
        break;
      case 'restore':
        this.#restore();
        break;
      case 'storage':
        this.place.fault = fault.fault;
        break;
    }
    await device.settle();
  }

  /** Everything works again, and every tab that is left is awake and looked at. */
  async awake(): Promise<void> {
    this.#weather.length = 0;
    this.place.fault = 'none';
    this.device.setOnline(true);
    for (const { process } of this.tabs) {
      process.atPoint = () => {};
      process.visible = true;
      await process.thaw();
      process.resume();
    }
  }

  /** Opens the tabs again that are gone. */
  reopen(): void {
    for (const [nth, { process }] of this.tabs.entries()) if (!process.alive) this.#open(nth);
  }

  /** The tabs whose token the server would not have. */
  get refused(): number[] {
    const works = ({ manager }: Tab) => this.server.verify(manager.tokens?.accessToken ?? '') === null;
    return this.tabs.flatMap((tab, nth) => (works(tab) ? [] : [nth]));
  }

  /** The most refreshes that left within one minute of awake time. */
  get busiestMinute(): number {
    let most = 0;
    let first = 0;
    for (const [index, at] of this.refreshes.entries()) {
      while (at - (this.refreshes[first] ?? at) > MINUTE) first += 1;
      most = Math.max(most, index - first + 1);
    }
    return most;
  }

  #tab(nth: number): Tab {
    return this.tabs[nth % this.tabs.length] as Tab;
  }

  /** A tab begins with what the app has: what it was told last, or what its page came with. */
  #open(nth: number): void {
    const { locks, channel } = this.#circumstances;
    const told = this.tabs[nth]?.told.at(-1);
    const process: Process = new Process(this.device, {
      random: () => this.#random(),
      locks,
      channel,
      visible: true,
      fetch: (url, init) => this.#send(url, init.body ?? '', init.signal),
      storage: this.#storage(() => process),
    });
    const tab: Tab = {
      process,
      manager: this.#manager(process),
      ends: [],
      told: told === undefined ? [] : [told],
    };
    this.tabs[nth] = tab;
    const { manager } = tab;
    manager.on('ended', ({ reason }) => tab.ends.push(reason));
    manager.on('tokens', () => this.#use(tab));
    const given = told !== undefined && this.#random() < 0.5 ? told : this.minted;
    void manager.start(given);
  }

  #manager(process: Process): TokenManager {
    return new TokenManager({
      apiUrl: API,
      userID: 'ann',
      platform: process.platform,
      inUse: () => false,
      onTokenRefresh: (tokens) =>
        process.arrive(
          Promise.resolve().then(() => {
            this.tabs.find((tab) => tab.process === process)?.told.push(tokens);
          }),
        ),
    });
  }

  /** Reading and writing take a moment, in which the process may be gone. */
  #storage(process: () => Process) {
    const inner = this.place.adapter(process, this.#circumstances.events, {
      saving: () => {},
      saved: () => {},
    });
    const later = <T>(work: () => T | Promise<T>): Promise<T> =>
      process().arrive(
        new Promise<T>((resolve) => queueMicrotask(() => resolve(Promise.resolve().then(work)))),
      );
    return {
      ...inner,
      get: () => later(() => inner.get()),
      set: (value: Parameters<typeof inner.set>[0]) => later(() => inner.set(value)),
    };
  }

  /** What the app does with a token that it has: the server sees it in use. */
  #use({ process, manager }: Tab): void {
    const { tokens } = manager;
    if (!process.alive || tokens === null || !this.device.online) return;
    if (this.server.verify(tokens.accessToken) !== null) {
      manager.tokenOtherThan(tokens.accessToken).catch(() => {});
    }
  }

  #kill(process: Process, after: number): void {
    let left = after;
    const point = (): void => {
      if (left <= 0) process.kill();
      left -= 1;
    };
    process.atPoint = point;
    if (after === 0) point();
  }

  async #send(url: string, text: string, signal: AbortSignal | undefined) {
    const { refreshToken, sentAt } = JSON.parse(text);
    const refresh = url.endsWith('/auth/refresh');
    if (refresh) this.refreshes.push(this.device.mono);
    if (!this.device.online) throw new TypeError('the device is offline');
    const handle = () => {
      if (!refresh) {
        this.server.end(read(refreshToken).sid);
        return reply(200, {});
      }
      const answer = this.server.refresh(refreshToken, sentAt);
      if (typeof answer !== 'string') return reply(200, answer);
      const status = answer === 'request_stale' ? 408 : 401;
      return problem(status, answer, { serverTime: this.server.now() });
    };
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => reject(new Error('aborted')));
    });
    return await Promise.race([this.#through(this.#weather.shift(), handle), aborted]);
  }

  async #through(weather: (typeof WEATHER)[number] | undefined, handle: () => ReturnType<typeof reply>) {
    const pass = (ms: number) => new Promise<void>((resume) => void this.device.after(ms, resume));
    switch (weather) {
      case undefined:
        return handle();
      case 'lost request':
        throw new TypeError('the connection was lost');
      case 'lost reply':
        handle();
        throw new TypeError('the connection was lost');
      case 'late request':
        // It arrives, whether or not anybody still waits for it.
        await pass(this.#random() * 40_000);
        return handle();
      case 'late reply': {
        const made = handle();
        await pass(this.#random() * 20_000);
        return made;
      }
      case 'hang':
        return await new Promise<never>(() => {});
      case '500':
        return reply(500, 'oops');
      case '429':
        return reply(429, '', { 'retry-after': '30' });
      case 'html':
        return reply(200, '<html>welcome</html>', { 'content-type': 'text/html' });
    }
  }

  /** mulberry32. */
  #random(): number {
    this.#chance = (this.#chance + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#chance ^ (this.#chance >>> 15), 1 | this.#chance);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
