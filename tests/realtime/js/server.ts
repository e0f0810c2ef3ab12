/** Starts the engine's example server, `pubsub`, on a free port with one of its profiles, and ends it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const BINARY = resolve(ROOT, process.env.PUBSUB_BIN ?? 'target/debug/examples/pubsub');
const PROFILES = resolve(ROOT, 'crates/realtime/examples/pubsub/profiles');

/** What the server says about a channel's history. */
export interface Top {
  offset: number;
  epoch: string;
}

export class Server {
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly address: string;

  private constructor(child: ChildProcess, directory: string, address: string) {
    this.#child = child;
    this.#directory = directory;
    this.address = address;
  }

  /** A server with the profile `name`, `more` lines of configuration before it, and `rest` behind it. */
  static async start(name: string, more = '', rest = ''): Promise<Server> {
    const directory = await mkdtemp(join(tmpdir(), 'pubsub-'));
    const profile = await readFile(join(PROFILES, `${name}.toml`), 'utf8');
    const file = join(directory, 'config.toml');
    await writeFile(file, more + profile.replace('127.0.0.1:8000', '127.0.0.1:0') + rest);
    const child = spawn(BINARY, ['--config', file], { stdio: ['ignore', 'pipe', 'inherit'] });
    const address = await new Promise<string>((ready, fail) => {
      child.on('error', fail);
      child.on('exit', (code) => fail(new Error(`${BINARY} ended with ${code} before it was ready`)));
      createInterface(child.stdout).once('line', (line) => ready(line.replace('listening on ', '')));
    });
    return new Server(child, directory, address);
  }

  async stop(): Promise<void> {
    const gone = new Promise((resume) => this.#child.once('exit', resume));
    this.#child.kill('SIGTERM');
    await gone;
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Calls the server API with this text; the text of its answer. */
  async call(method: string, text: string, key = 'test-api-key'): Promise<{ status: number; body: string }> {
    const response = await fetch(`http://${this.address}/api/${method}`, {
      method: 'POST',
      headers: { 'X-API-Key': key },
      body: text,
    });
    return { status: response.status, body: await response.text() };
  }

  /** Calls the server API. */
  async api(method: string, body: unknown): Promise<Record<string, unknown>> {
    const answer = JSON.parse((await this.call(method, JSON.stringify(body))).body);
    if (answer.result === undefined) throw new Error(`${method}: ${JSON.stringify(answer.error)}`);
    return answer.result;
  }

  async publish(channel: string, data: unknown): Promise<Top> {
    return (await this.api('publish', { channel, data })) as unknown as Top;
  }
}
