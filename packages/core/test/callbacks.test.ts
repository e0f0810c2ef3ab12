/** The app's own copy of the pair, where nothing else outlives the process. */
import { describe, expect, it } from 'vitest';
import { memoryStorage, type Tokens } from '../src/index.ts';
import { ClientScene } from './support/client-scene.ts';
import { reply, sharedStorage } from './support/fake-platform.ts';
import { type Actor, HOUR, MINUTE, Scene } from './support/scene.ts';

/** An app that keeps the pair by itself, as its callback is told to. */
class App {
  copy: Tokens;
  save: (tokens: Tokens) => void | Promise<void> = this.keep;
  readonly #scene: Scene;

  constructor(scene: Scene) {
    this.#scene = scene;
    this.copy = scene.server.mint();
  }

  keep(tokens: Tokens): void {
    this.copy = tokens;
  }

  async start(storage = memoryStorage()): Promise<Actor> {
    const actor = this.#scene.actor({ storage, onTokenRefresh: (tokens) => this.save(tokens) });
    await this.#scene.start(actor, this.copy);
    return actor;
  }

  /** The token is used, the app is killed, and started with its copy after the grace of the server. */
  async restart(actor: Actor): Promise<Actor> {
    this.#scene.server.show(await actor.manager.getToken());
    actor.manager.stop();
    await this.#scene.device.advance(2 * MINUTE);
    this.save = this.keep;
    return await this.start();
  }
}

function failing(): never {
  throw new Error('disk full');
}

describe('where the app alone keeps the pair', () => {
  it.each([
    ['throws', failing],
    ['rejects', () => Promise.reject(new Error('disk full'))],
    ['hangs', () => new Promise<void>(() => {})],
  ] as const)(
    'one that it did not take note of (it %s) is not used: a restart signs nobody out',
    async (_name, save) => {
      const scene = new Scene();
      const app = new App(scene);
      const actor = await app.start();
      app.save = save;
      await scene.device.advance(56 * MINUTE);
      expect(actor.manager.tokens?.accessToken).toBe(app.copy.accessToken);
      expect(actor.storageErrors.length).toBeGreaterThan(0);
      const next = await app.restart(actor);
      await scene.device.advance(HOUR);
      expect(next.ends).toEqual([]);
      expect(next.manager.state).toBe('valid');
    },
  );

  it('asks the app again, not the server', async () => {
    const scene = new Scene();
    const app = new App(scene);
    const actor = await app.start();
    let tries = 0;
    app.save = (tokens) => {
      tries += 1;
      if (tries < 3) failing();
      app.keep(tokens);
    };
    await scene.device.advance(56 * MINUTE);
    expect(tries).toBe(3);
    expect(scene.server.refreshes).toHaveLength(1);
    expect(actor.manager.tokens).toEqual(app.copy);
    expect(actor.manager.state).toBe('valid');
  });

  it('takes a late note for one', async () => {
    const scene = new Scene();
    const app = new App(scene);
    const actor = await app.start();
    let tries = 0;
    app.save = async (tokens) => {
      tries += 1;
      await new Promise<void>((resume) => void actor.tab.platform.timers.after(6_000, resume));
      app.keep(tokens);
    };
    await scene.device.advance(56 * MINUTE);
    expect(tries).toBeLessThanOrEqual(2);
    expect(actor.manager.tokens).toEqual(app.copy);
    expect(actor.manager.state).toBe('valid');
  });

  it('never locks the user out: an app that always fails goes on without a gap', async () => {
    const scene = new Scene();
    const app = new App(scene);
    const actor = await app.start();
    app.save = failing;
    for (let minute = 0; minute < 300; minute += 1) {
      await scene.device.advance(MINUTE);
      expect(['valid', 'stale', 'refreshing']).toContain(actor.manager.state);
    }
    expect(scene.server.refreshes.length).toBeLessThan(8);
    expect(actor.errors).toEqual([]);
  });

  it('comes back from a long sleep after three tries', async () => {
    const scene = new Scene();
    const app = new App(scene);
    const actor = await app.start();
    app.save = failing;
    scene.device.sleep(8 * HOUR);
    await scene.device.advance(MINUTE);
    expect(actor.manager.state).toBe('valid');
  });

  it('takes the pair that the app itself brings', async () => {
    const scene = new Scene();
    const app = new App(scene);
    const actor = await app.start();
    app.save = failing;
    await scene.device.advance(MINUTE);
    const brought = scene.server.mint();
    await actor.manager.offer(brought);
    expect(actor.manager.tokens?.accessToken).toBe(brought.accessToken);
  });
});

it('a full storage and a full disk of the app together sign nobody out', async () => {
  const scene = new Scene();
  const storage = sharedStorage();
  const { set } = storage;
  let full = false;
  storage.set = (value) => {
    if (full && JSON.stringify(value).length > 300) throw new DOMException('full', 'QuotaExceededError');
    set(value);
  };
  const app = new App(scene);
  const actor = await app.start(storage);
  await scene.device.advance(50 * MINUTE);
  full = true;
  app.save = failing;
  await scene.device.advance(6 * MINUTE);
  expect(storage.text).not.toContain('accessToken');
  const next = await app.restart(actor);
  await scene.device.advance(HOUR);
  expect(next.ends).toEqual([]);
});

it('a storage that keeps the pair makes the callback a courtesy', async () => {
  const scene = new Scene();
  const app = new App(scene);
  let tries = 0;
  app.save = () => {
    tries += 1;
    failing();
  };
  const actor = await app.start(sharedStorage());
  await scene.device.advance(56 * MINUTE);
  expect(tries).toBe(1);
  expect(actor.manager.tokens?.accessToken).not.toBe(app.copy.accessToken);
});

describe('of several clients', () => {
  it.each([
    ['throws', failing],
    ['hangs', () => new Promise<void>(() => {})],
  ])('the one that did not take note (it %s) is told again, and the others are not', async (_name, fault) => {
    const scene = new ClientScene();
    scene.tab.shared = new Map();
    const storage = memoryStorage();
    const copies: Tokens[] = [];
    const failed = scene.client({
      storage,
      onTokenRefresh: (tokens) => {
        failed.told.push(tokens);
        return failed.told.length < 3 ? fault() : void copies.push(tokens);
      },
    });
    const well = scene.client({ storage });
    const input = scene.input();
    await failed.sdk.connect(input);
    await well.sdk.connect(input);
    await scene.device.advance(56 * MINUTE);
    expect(failed.told).toHaveLength(3);
    expect(well.told).toEqual(copies);
    expect(copies).toHaveLength(1);
    expect(scene.server.refreshes).toHaveLength(1);
    await scene.end();
  });
});

it('a log that fails costs nobody the session', async () => {
  const scene = new Scene();
  const actor = scene.actor({ logger: { debug: failing, warn: failing, error: failing } });
  await scene.start(actor);
  let left = 3;
  scene.server.intercept = () => (left-- > 0 ? reply(500, 'down') : undefined);
  await scene.device.advance(58 * MINUTE);
  expect(scene.server.refreshes).toHaveLength(4);
  expect(actor.manager.state).toBe('valid');
  actor.manager.stop();
  expect(scene.device.timers.size).toBe(0);
});
