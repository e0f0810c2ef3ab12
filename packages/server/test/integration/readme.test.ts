/** The blocks of the README as one program, on what `npm run build` made, against the real server. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ChatSDK } from '../support/chatsdk.ts';

let chatsdk: ChatSDK;
beforeAll(async () => {
  chatsdk = await ChatSDK.start();
});
afterAll(async () => await chatsdk?.dispose());

const CHECKS = `
const server = app.listen(0, '127.0.0.1');
await new Promise((ready) => server.once('listening', ready));
const at = 'http://127.0.0.1:' + server.address().port;
const post = (path, headers = {}) => fetch(at + path, { method: 'POST', headers });
const headers = { authorization: 'Bearer yours' };
const issued = await post('/api/session/token', headers);
const cookie = issued.headers.get('set-cookie').split(';')[0];
console.log(JSON.stringify({
  role: tokens.user.custom.role,
  good: await who(tokens.accessToken),
  bad: await who(tokens.refreshToken),
  stranger: (await post('/api/chat/token')).status,
  name: (await (await post('/api/chat/token', headers)).json()).user.name,
  refreshed: (await post('/api/session/refresh', { cookie })).status,
  out: (await post('/api/session/logout', { cookie })).status,
}));
server.closeAllConnections();
server.close();
`;

it('every block runs, and the process ends', async () => {
  const page = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const blocks = [...page.matchAll(/^```js\n(.*?)^```/gms)].map((block) => block[1] ?? '');
  expect(blocks).toHaveLength(4);
  // One program: the second import of a name is the same as the first.
  const program = blocks.join('\n').replace(/import \{ createChatSDKServer, /g, 'import { ') + CHECKS;
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', program],
    {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env: { ...process.env, CHATSDK_API_URL: chatsdk.apiUrl, CHATSDK_API_KEY: chatsdk.apiKey },
      timeout: 30_000,
    },
  );
  expect(stderr).toBe('');
  expect(stdout).toContain('ses_');
  expect(stdout).toContain('token_invalid');
  expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toEqual({
    role: 'admin',
    good: 'user-123',
    bad: null,
    stranger: 401,
    name: 'Test User',
    refreshed: 200,
    out: 204,
  });
});
