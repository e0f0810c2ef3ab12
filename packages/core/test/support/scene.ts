/** A device, a server, and token managers between them. */
import type { RefreshError, StorageError } from '../../src/errors.ts';
import type { EndReason, TokenManagerOptions } from '../../src/tokens/events.ts';
import { TokenManager } from '../../src/tokens/token-manager.ts';
import type { Tokens } from '../../src/tokens/types.ts';
import { Device, Tab } from './fake-platform.ts';
import { FakeServer } from './fake-server.ts';

export const API = 'http://localhost:5500';
export const MINUTE = 60_000;
export const HOUR = 3_600_000;

/** A manager, and what it told of. */
export interface Actor {
  readonly tab: Tab;
  readonly manager: TokenManager;
  readonly told: Tokens[];
  readonly errors: RefreshError[];
  readonly storageErrors: StorageError[];
  readonly ends: EndReason[];
}

export class Scene {
  readonly device = new Device();
  readonly server = new FakeServer(this.device);

  /** A tab with a manager for `userID` in it; not started yet. */
  actor(options: Partial<TokenManagerOptions> = {}, setUp: (tab: Tab) => void = () => {}): Actor {
    const tab = new Tab(this.device);
    tab.fetch = this.server.fetch;
    setUp(tab);
    const told: Tokens[] = [];
    const errors: RefreshError[] = [];
    const storageErrors: StorageError[] = [];
    const ends: EndReason[] = [];
    const manager = new TokenManager({
      apiUrl: API,
      userID: 'ann',
      platform: tab.platform,
      onTokenRefresh: (tokens) => {
        told.push(tokens);
      },
      onRefreshError: (error) => {
        errors.push(error);
      },
      ...options,
    });
    manager.on('storageError', (error) => storageErrors.push(error));
    manager.on('ended', ({ reason }) => ends.push(reason));
    return { tab, manager, told, errors, storageErrors, ends };
  }

  /** Starts `actor`, and lets its first steps happen. */
  async start(actor: Actor, tokens: Tokens = this.server.mint()): Promise<void> {
    const started = actor.manager.start(tokens);
    await this.device.settle();
    await started;
  }
}
