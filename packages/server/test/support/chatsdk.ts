/** Starts the real `chatsdk` on a free port, in a directory of its own, and ends it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));
const BINARY = resolve(ROOT, process.env.CHATSDK_BIN ?? 'target/debug/chatsdk');

/** The `iss` of its tokens: the default of `public_url`. */
export const ISSUER = 'http://localhost:5500';

export class ChatSDK {
  /** Where its data are. */
  readonly directory: string;
  #child: ChildProcess | null = null;
  apiUrl = '';
  realtimeUrl = '';
  apiKey = '';

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async start(...flags: string[]): Promise<ChatSDK> {
    const chatsdk = new ChatSDK(await mkdtemp(join(tmpdir(), 'chatsdk-server-test-')));
    await chatsdk.run('127.0.0.1:0', ...flags);
    return chatsdk;
  }

  /** Runs it (again), and waits until it says that it is ready. */
  async run(listen = new URL(this.apiUrl).host, ...flags: string[]): Promise<void> {
    const args = ['serve', '--json', '--data-dir', this.directory, '--listen', listen];
    args.push('--realtime-listen', '127.0.0.1:0', ...(flags.length > 0 ? flags : ['--rate-limits', 'off']));
    const env = { ...process.env, CHATSDK_TOKENS_MIN_ACCESS_TTL: '1s' };
    const child = spawn(BINARY, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    let log = '';
    child.stderr.on('data', (chunk) => {
      log += chunk;
    });
    await new Promise<void>((ready, fail) => {
      child.on('error', fail);
      child.on('exit', (code) => fail(new Error(`${BINARY} ended with ${code}:\n${log}`)));
      createInterface(child.stdout).on('line', (line) => {
        const event = JSON.parse(line) as { event: string; apiKey?: string; api?: string; realtime?: string };
        if (event.event === 'created') this.apiKey = event.apiKey ?? '';
        if (event.event !== 'ready') return;
        this.apiUrl = event.api ?? '';
        this.realtimeUrl = event.realtime ?? '';
        ready();
      });
    });
  }

  /** Runs a command of the binary on the same data. Answers what it printed. */
  async command(...words: string[]): Promise<string> {
    const child = spawn(BINARY, [...words, '--data-dir', this.directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    const code = await new Promise((resume) => child.once('close', resume));
    if (code !== 0) throw new Error(`chatsdk ${words.join(' ')} ended with ${code}`);
    return out;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const gone = new Promise((resume) => child.once('exit', resume));
    child.kill('SIGTERM');
    await gone;
  }

  /** Ends the process and removes what it wrote. */
  async dispose(): Promise<void> {
    await this.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}
