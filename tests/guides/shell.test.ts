/**
 * The shell blocks of the documents, the blocks of a document in one bash: `curl` goes to the real server (or to the
 * example that the document is about), `chatsdk` is the real binary with the data of that server, and what installs
 * something or never ends is looked at by support/shims.mjs.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ChatSDK } from '../../packages/server/test/support/chatsdk.ts';
import { at, blocks, documents, ROOT } from './support/documents.ts';

const BINARY = resolve(ROOT, process.env.CHATSDK_BIN ?? 'target/debug/chatsdk');

/** The examples that documents call at port 3000: what starts them, in their own directories. */
const BACKENDS: Readonly<Record<string, readonly [string, ...string[]]>> = {
  'examples/express-backend/README.md': ['node', 'server.js'],
  'examples/fastapi-backend/README.md': [
    join(ROOT, 'target/venv/bin/python'),
    '-m',
    'uvicorn',
    'main:app',
    '--port',
    '0',
  ],
  'examples/plain-http/README.md': ['ruby', 'server.rb'],
};

/** Documents whose commands are meant for their own directory. */
const AT_HOME = Object.keys(BACKENDS);

/** The commands that are answered with another status than 2xx, on purpose. */
const REFUSED: Readonly<Record<string, readonly string[]>> = { 'docs/guides/errors.md': ['401'] };

const PRELUDE = `
set -euo pipefail
# What is said of an example begins at the root; the script stands in the example already.
cd() { case "$1" in examples/*) ;; *) builtin cd "$@" ;; esac; }
chatsdk() {
  case "$1" in
    # Everything that decides whether it could begin, and then it does not.
    serve) shift; "$BINARY" config "$@" >/dev/null ;;
    *) env -u CHATSDK_SECRET "$BINARY" "$@" ;;
  esac
}
curl() {
  local body; body=$(mktemp "$PLACE/body.XXXXXX")
  command curl -sS -o "$body" -w '%{http_code}\\n' "$@" >>"$PLACE/statuses"
  cat "$body"
}
for program in npm npx pip make node uvicorn go; do
  eval "$program() { '$NODE' '$SHIMS' $program \\"\\$@\\"; }"
done
`;

let chat: ChatSDK;
let place: string;
beforeAll(async () => {
  chat = await ChatSDK.start();
  place = await mkdtemp(join(tmpdir(), 'chatsdk-guides-'));
});
afterAll(async () => {
  await chat?.dispose();
  if (place !== undefined) await rm(place, { recursive: true });
});

/** What a block says, with the addresses and directories of the moment. */
function localized(text: string, backend: string): string {
  return text
    .replaceAll('http://localhost:5500', chat.apiUrl)
    .replaceAll('localhost:3000', backend)
    .replaceAll('your-api-key', chat.apiKey)
    .replaceAll('csk_…', chat.apiKey)
    .replaceAll('target/release/chatsdk', 'chatsdk')
    .replaceAll('/var/lib/chatsdk', chat.directory)
    .replaceAll('/backups', place);
}

async function bash(document: string, script: string): Promise<string> {
  // `--norc`: with a socket for its input, bash takes itself for a remote shell and reads the files of its user.
  const { stdout } = await promisify(execFile)('bash', ['--norc', '-c', PRELUDE + script], {
    cwd: AT_HOME.includes(document) ? join(ROOT, dirname(document)) : ROOT,
    timeout: 50_000,
    env: {
      PATH: process.env.PATH,
      BINARY,
      NODE: process.execPath,
      SHIMS: join(ROOT, 'tests/guides/support/shims.mjs'),
      PLACE: place,
      TMPDIR: place,
      CHATSDK_DATA_DIR: chat.directory,
      CHATSDK_API_URL: chat.apiUrl,
      CHATSDK_API_KEY: chat.apiKey,
      CHATSDK_LISTEN: new URL(chat.apiUrl).host,
      CHATSDK_REALTIME_LISTEN: new URL(chat.realtimeUrl).host,
    },
  });
  return stdout;
}

/** The backend of a document, and where it listens. */
async function backendOf(document: string): Promise<{ host: string; process: ChildProcess | null }> {
  const command = BACKENDS[document];
  if (command === undefined) return { host: 'no-backend.invalid', process: null };
  const [program, ...words] = command;
  const directory = join(ROOT, dirname(document), program === 'ruby' ? 'ruby' : '.');
  const env = { ...process.env, CHATSDK_API_URL: chat.apiUrl, CHATSDK_API_KEY: chat.apiKey, PORT: '0' };
  const child = spawn(program, words, { cwd: directory, env });
  let said = '';
  const host = await new Promise<string>((ready, fail) => {
    child.on('error', fail);
    child.on('exit', () => fail(new Error(`${program} ended:\n${said}`)));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', (line) => {
        said += `${line}\n`;
        const found = /http:\/\/(127\.0\.0\.1:\d+)/.exec(line)?.[1];
        if (found !== undefined) ready(found);
      });
    }
  });
  return { host, process: child };
}

const shell = documents.filter((document) =>
  blocks.some((block) => block.document === document && block.language === 'sh'),
);

it('there are some', () => expect(shell).toContain('docs/guides/authentication.md'));

it.each(shell)('%s', async (document) => {
  await mkdir(place, { recursive: true });
  await writeFile(join(place, 'statuses'), '');
  const backend = await backendOf(document);
  try {
    const shown = blocks.filter((block) => block.document === document && block.language === 'sh');
    const script = shown.map((block) => `: ${at(block)}\n${localized(block.text, backend.host)}`).join('\n');
    await bash(document, script);
    const statuses = (await readFile(join(place, 'statuses'), 'utf8')).trim().split('\n').filter(Boolean);
    expect(statuses.filter((status) => !status.startsWith('2'))).toEqual(REFUSED[document] ?? []);
    const calls = script.match(/\bcurl /g) ?? [];
    expect(statuses).toHaveLength(calls.length);
  } finally {
    if (backend.process !== null) {
      const gone = new Promise((resume) => backend.process?.once('exit', resume));
      backend.process.kill('SIGTERM');
      await gone;
    }
  }
});

it('troubleshooting: the doctor says what is shown', async () => {
  const [shown] = blocks.filter(({ language, name }) => language === 'text' && name === 'doctor');
  const said = await bash('', 'chatsdk doctor --token "$CHATSDK_API_KEY"');
  const constant = (text: string): string =>
    text.replace(/127\.0\.0\.1:\d+/g, 'ADDRESS').replace(/app_\w{26}/g, 'APP');
  expect(constant(said)).toBe(constant(shown?.text ?? ''));
});

it('a command that does not work is found', async () => {
  for (const command of [
    'npm run no-such-script',
    'make no-such-target',
    'chatsdk no-such-command',
    'pip install x',
  ]) {
    await expect(bash('', command)).rejects.toThrow();
  }
});
