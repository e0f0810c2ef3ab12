/** What `npm run build` made, in a plain Node process, as a server that renders pages would load it. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('is imported, makes a client, and lets the process end', async () => {
  const program = `
    import { ChatSDK, TokenManager } from '@chatsdk/core';
    const sdk = new ChatSDK({ apiUrl: 'http://localhost:5500' });
    sdk.on('connectivity', () => {});
    console.log(JSON.stringify({ sdk, user: sdk.user, manager: typeof TokenManager }));
  `;
  const cwd = fileURLToPath(new URL('../..', import.meta.url));
  const args = ['--input-type=module', '--eval', program];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd, timeout: 20_000 });
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toMatchObject({ user: null, manager: 'function', sdk: { userID: null } });
});
