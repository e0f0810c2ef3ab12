/**
 * A backend that signs people in by itself, and gets chat tokens for them. See README.md for how to call it.
 *
 * Needs CHATSDK_API_URL and CHATSDK_API_KEY. The accounts, and the sessions in memory, stand for yours.
 */
import { randomBytes } from 'node:crypto';
import { createChatSDKServer } from '@chatsdk/server';
import { cookieRoutes, tokenRoute } from '@chatsdk/server/express';
import express from 'express';

const accounts = new Map([
  ['ann', { password: 'ann-secret', user: { id: 'user-1', name: 'Ann', role: 'admin', chat: true } }],
  ['bob', { password: 'bob-secret', user: { id: 'user-2', name: 'Bob', role: 'member', chat: true } }],
  ['eve', { password: 'eve-secret', user: { id: 'user-3', name: 'Eve', role: 'guest', chat: false } }],
]);
/** Your session tokens, and whom they belong to. */
const sessions = new Map();

const chat = createChatSDKServer();
const app = express();
app.use(express.json());

// 1. Your own login. ChatSDK never sees a password.
app.post('/api/login', (req, res) => {
  const { login, password } = req.body ?? {};
  const account = accounts.get(login);
  if (account === undefined || account.password !== password) {
    return res.status(401).json({ error: 'Unauthorized' });
  }
  const token = randomBytes(32).toString('base64url');
  sessions.set(token, account.user);
  res.json({ token });
});

/** Your own authentication: who is asking, by `Authorization: Bearer <token of your login>`. */
function authenticateUser(req, res, next) {
  req.user = sessions.get(req.get('authorization')?.replace(/^Bearer /, ''));
  if (req.user === undefined) return res.status(401).json({ error: 'Unauthorized' });
  next();
}

/** Not everybody may chat; everybody may sign out. */
function mayChat(req, res, next) {
  if (!req.user.chat) return res.status(403).json({ error: 'No chat access' });
  next();
}

/** What ChatSDK is told of somebody. `custom` travels in the token, where its bearer can read it. */
const chatUser = (req) => ({ userId: req.user.id, name: req.user.name, custom: { role: req.user.role } });

// 2. Chat tokens for whoever is signed in. The SDK in the frontend refreshes them by itself.
app.post('/api/chat/token', authenticateUser, mayChat, tokenRoute({ chat, user: chatUser }));

// 2b. The same with the refresh token in an httpOnly cookie: `refreshTokens` of the SDK calls `/refresh`.
// Neither it nor `/logout` asks who is there: the cookie says so, though your own session may have ended.
const kept = cookieRoutes({
  chat,
  user: chatUser,
  // Safari takes no Secure cookies from http://localhost; everywhere else leave `secure` alone.
  cookie: { path: '/api/session', secure: process.env.INSECURE_COOKIES !== '1' },
});
app.post('/api/session/token', authenticateUser, mayChat, kept.issue);
app.post('/api/session/refresh', kept.refresh);
app.post('/api/session/logout', kept.logout);

// 3. Your own logout ends the chat on every device of theirs, within a second. The chat first: where it cannot be
// told, they are still signed in here and can try again.
app.post('/api/auth/logout', authenticateUser, async (req, res) => {
  try {
    await chat.revokeUser(req.user.id);
  } catch (error) {
    console.error(`${error.code}: ${error.message}`);
    return res.status(503).json({ error: 'Not signed out: try again' });
  }
  sessions.delete(req.get('authorization').replace(/^Bearer /, ''));
  res.status(204).end();
});

// 4. Another backend of yours that is given a chat token verifies it without asking anybody.
const verifier = createChatSDKServer({ issuer: process.env.CHATSDK_ISSUER });
app.get('/api/whoami', async (req, res) => {
  try {
    const { userId, user } = await verifier.verifyToken(
      req.get('authorization')?.replace(/^Bearer /, '') ?? '',
    );
    res.json({ userId, role: user.custom?.role });
  } catch (error) {
    const bad = error.code === 'token_expired' || error.code === 'token_invalid';
    res.status(bad ? 401 : 503).json({ error: error.code });
  }
});

const server = app.listen(process.env.PORT ?? 3000, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
process.once('SIGTERM', () => server.close());
