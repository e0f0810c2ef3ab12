/** Starts the real `chatsdk`, on free ports and in a directory of its own, and ends it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));
const BINARY = resolve(ROOT, process.env.CHATSDK_BIN ?? 'target/debug/chatsdk');

/** What a mint answers. */
export interface Minted {
  accessToken: string;
  refreshToken: string;
  expiresAt: number;
  sessionId: string;
}

interface Lines {
  apiKey?: string;
  api?: string;
  realtime?: string;
  page?: string;
}

export class Binary {
  readonly #command: string;
  readonly #directory: string;
  #child: ChildProcess | null = null;
  #apiKey = '';
  api = '';
  realtime = '';
  page = '';

  private constructor(command: string, directory: string) {
    this.#command = command;
    this.#directory = directory;
  }

  static async start(command: 'serve' | 'dev'): Promise<Binary> {
    const binary = new Binary(command, await mkdtemp(join(tmpdir(), 'chatsdk-test-')));
    await binary.run('127.0.0.1:0', '127.0.0.1:0');
    return binary;
  }

  /** Runs it (again), and waits until it says that it is ready. */
  async run(listen = new URL(this.api).host, realtime = new URL(this.realtime).host): Promise<void> {
    const args = [this.#command, '--data-dir', this.#directory, '--listen', listen];
    args.push('--realtime-listen', realtime, '--rate-limits', 'off', '--json');
    const env = { ...process.env, CHATSDK_TOKENS_MIN_ACCESS_TTL: '1s' };
    const child = spawn(BINARY, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    let log = '';
    child.stderr.on('data', (chunk) => {
      log += chunk;
    });
    await new Promise<void>((ready, fail) => {
      child.on('error', fail);
      child.on('exit', (code) =>
        fail(new Error(`${BINARY} ended with ${code} before it was ready:\n${log}`)),
      );
      createInterface(child.stdout).on('line', (line) => {
        const event = JSON.parse(line) as Lines & { event: string };
        if (event.event === 'created') this.#apiKey = event.apiKey ?? '';
        if (event.event !== 'ready') return;
        this.api = event.api ?? '';
        this.realtime = event.realtime ?? '';
        this.page = event.page ?? '';
        ready();
      });
    });
  }

  /** The key of the app that it made at its first start. */
  get apiKey(): string {
    return this.#apiKey;
  }

  /** Ends the process, and waits until it is gone. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const gone = new Promise((resume) => child.once('exit', resume));
    child.kill('SIGTERM');
    await gone;
  }

  /** Ends the process as a power cut would. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const gone = new Promise((resume) => child.once('exit', resume));
    child.kill('SIGKILL');
    await gone;
  }

  /** Ends the process and removes what it wrote. */
  async dispose(): Promise<void> {
    await this.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Calls the API as the host's backend. */
  async call(method: string, path: string, body?: unknown): Promise<unknown> {
    const headers = { 'X-API-Key': this.#apiKey, 'Content-Type': 'application/json' };
    const response = await fetch(this.api + path, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? null : JSON.parse(text);
  }

  async mint(userId: string, more: Record<string, unknown> = {}): Promise<Minted> {
    return (await this.call('POST', '/auth/tokens', { userId, ...more })) as Minted;
  }

  async refresh(refreshToken: string): Promise<Minted> {
    return (await this.call('POST', '/auth/refresh', { refreshToken })) as Minted;
  }
}
