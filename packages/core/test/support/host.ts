/** The app of a customer: a page that uses the SDK, and a backend that mints tokens for whoever is asked for. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import type { Binary, Minted } from './binary.ts';

const INDEX = fileURLToPath(new URL('../../src/index.ts', import.meta.url));

const PAGE = `<!doctype html><title>app</title><script type="module">
  const query = new URLSearchParams(location.search);
  const seen = { states: [], ends: [], errors: [], told: 0, connected: false, gap: 0 };
  globalThis.seen = seen;
  let beat = performance.now();
  setInterval(() => {
    seen.gap = Math.max(seen.gap, performance.now() - beat);
    beat = performance.now();
  }, 100);
  async function mount(copy) {
    const { ChatSDK } = await import('/sdk.js?copy=' + copy);
    const addresses = await (await fetch('/addresses')).json();
    const user = query.get('user');
    const tokens = await (await fetch('/token?' + query, { method: 'POST' })).json();
    const sdk = new ChatSDK({
      ...addresses,
      onTokenRefresh: () => { seen.told += 1; },
      onRefreshError: (error) => { seen.errors.push(error.message); },
    });
    sdk.on('connectivity', ({ state }) => { seen.states.push(state); });
    sdk.on('sessionEnded', ({ reason }) => { seen.ends.push(reason); });
    await sdk.connect({
      userID: user, token: tokens.accessToken, refreshToken: tokens.refreshToken, expiresAt: tokens.expiresAt,
    });
    return sdk;
  }
  globalThis.mount = mount;
  globalThis.sdk = await mount(1);
  seen.connected = true;
</script>`;

export class HostApp {
  readonly #server: Server;
  readonly #binary: Binary;
  readonly #bundle: string;
  /** As an app does that keeps what it got, every tab of a user is given the same pair. */
  readonly #minted = new Map<string, Promise<Minted>>();

  private constructor(binary: Binary, bundle: string) {
    this.#binary = binary;
    this.#bundle = bundle;
    this.#server = createServer((request, response) => {
      const url = new URL(request.url ?? '/', 'http://host');
      this.#answer(url).then(
        ([type, body]) => response.writeHead(200, { 'Content-Type': type }).end(body),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
    });
  }

  static async start(binary: Binary): Promise<HostApp> {
    const built = await build({
      configFile: false,
      logLevel: 'silent',
      build: { write: false, lib: { entry: INDEX, formats: ['es'] } },
    });
    const outputs = [built].flat().flatMap((one) => ('output' in one ? one.output : []));
    const bundle = outputs.map((one) => (one.type === 'chunk' ? one.code : '')).join('');
    const app = new HostApp(binary, bundle);
    await new Promise<void>((ready) => app.#server.listen(0, '127.0.0.1', ready));
    return app;
  }

  /** The page, for a user whose tokens live for `ttl`. */
  page(user: string, ttl: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/?user=${user}&ttl=${ttl}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((gone) => this.#server.close(gone));
  }

  async #answer(url: URL): Promise<[type: string, body: string]> {
    switch (url.pathname) {
      case '/':
        return ['text/html', PAGE];
      case '/sdk.js':
        return ['text/javascript', this.#bundle];
      case '/addresses':
        return [
          'application/json',
          JSON.stringify({ apiUrl: this.#binary.api, wsUrl: this.#binary.realtime }),
        ];
      case '/token': {
        const user = url.searchParams.get('user') ?? '';
        const lives = { accessTokenExpiry: url.searchParams.get('ttl') };
        const minted = this.#minted.get(user) ?? this.#binary.mint(user, lives);
        this.#minted.set(user, minted);
        return ['application/json', JSON.stringify(await minted)];
      }
      default:
        return ['text/plain', ''];
    }
  }
}
