/** Clients in one tab, between a fake server and a fake socket. */
import {
  ChatSDK,
  type ChatSDKOptions,
  type ConnectInput,
  type RefreshError,
  type Tokens,
} from '../../src/index.ts';
import { Happenings } from './events.ts';
import { Tab } from './fake-platform.ts';
import { FakeRealtime } from './fake-socket.ts';
import { API, Scene } from './scene.ts';

/** A client, and what it told of. */
export interface Client {
  readonly sdk: ChatSDK;
  readonly states: Happenings<string>;
  readonly ends: Happenings<string>;
  readonly errors: Happenings<RefreshError>;
  readonly told: Tokens[];
  readonly lines: string[];
}

export class ClientScene extends Scene {
  readonly realtime = new FakeRealtime();
  readonly tab = this.newTab();
  readonly #made: ChatSDK[] = [];

  newTab(): Tab {
    const tab = new Tab(this.device);
    tab.fetch = this.server.fetch;
    return tab;
  }

  client(options: Partial<ChatSDKOptions> = {}, tab = this.tab): Client {
    const states = new Happenings<string>();
    const ends = new Happenings<string>();
    const errors = new Happenings<RefreshError>();
    const told: Tokens[] = [];
    const lines: string[] = [];
    const add = (line: string): void => {
      lines.push(line);
    };
    const platform = { ...tab.platform, webSocket: this.realtime.webSocket };
    const sdk = new ChatSDK({
      apiUrl: API,
      onRefreshError: errors.add,
      onTokenRefresh: (tokens) => {
        told.push(tokens);
      },
      logger: { debug: add, warn: add, error: add },
      platform,
      ...options,
    });
    sdk.on('connectivity', ({ state }) => states.add(state));
    sdk.on('sessionEnded', ({ reason }) => ends.add(reason));
    this.#made.push(sdk);
    return { sdk, states, ends, errors, told, lines };
  }

  /** What `connect` takes, freshly minted. */
  input(userID = 'ann'): ConnectInput & { sid: string; userID: string } {
    const { accessToken, refreshToken, expiresAt, sid } = this.server.mint(userID, {
      custom: { role: 'admin' },
    });
    return { userID, token: accessToken, refreshToken, expiresAt, sid };
  }

  /** All that stands in the storage of the device, as text. */
  get stored(): string {
    return JSON.stringify([...this.device.storage.values()].map((one) => one.get()));
  }

  async end(): Promise<void> {
    for (const sdk of this.#made.splice(0)) await sdk.disconnect();
  }
}
