// The smallest backend: serves the page, the SDK as one file, and tokens for whoever says who they are.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const {
  CHATSDK_API_KEY,
  CHATSDK_API_URL = 'http://localhost:5500',
  TOKEN_LIFE = '1h',
  PORT = '3000',
} = process.env;
if (!CHATSDK_API_KEY) throw new Error('Set CHATSDK_API_KEY to the key that `chatsdk dev` prints.');

/** `@chatsdk/core` and what it imports in one module, which a page can import without tools of its own. */
async function bundleSdk() {
  const entry = fileURLToPath(import.meta.resolve('@chatsdk/core'));
  const options = { write: false, lib: { entry, formats: ['es'] } };
  const [{ output }] = await build({ configFile: false, logLevel: 'error', build: options });
  return output[0].code;
}

/** Asks ChatSDK for tokens. Only your backend knows the API key. */
async function mint(userId) {
  return await fetch(`${CHATSDK_API_URL}/auth/tokens`, {
    method: 'POST',
    headers: { 'X-API-Key': CHATSDK_API_KEY, 'Content-Type': 'application/json' },
    body: JSON.stringify({ userId, name: userId, accessTokenExpiry: TOKEN_LIFE }),
    // A redirect would carry the API key to wherever it points.
    redirect: 'manual',
    signal: AbortSignal.timeout(8_000),
  });
}

const sdk = await bundleSdk();
const page = await readFile(new URL('index.html', import.meta.url));

const server = createServer(async (request, response) => {
  const send = (status, type, body) =>
    response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' }).end(body);
  try {
    if (request.method === 'POST' && request.url === '/api/chat/token') {
      // Yours looks the person up by a session cookie or a login token. This one believes what it is told.
      const userId = request.headers.authorization?.replace(/^Bearer /, '');
      if (!userId) return send(401, 'application/json', '{"error":"Unauthorized"}');
      const reply = await mint(userId);
      const text = await reply.text();
      if (reply.status === 200) return send(200, 'application/json', text);
      // Never ChatSDK's own 401: that one is about your API key, and would sign your user out.
      console.error(`ChatSDK answered ${reply.status}: ${text}`);
      return send(503, 'application/json', '{"error":"Chat is not available"}');
    }
    if (request.url === '/chatsdk.js') return send(200, 'text/javascript', sdk);
    if (request.url === '/') return send(200, 'text/html; charset=utf-8', page);
    send(404, 'text/plain', 'Not found');
  } catch (error) {
    console.error(`ChatSDK cannot be reached: ${error}`);
    send(503, 'application/json', '{"error":"Chat is not available"}');
  }
});
server.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`http://localhost:${server.address().port}`);
});
