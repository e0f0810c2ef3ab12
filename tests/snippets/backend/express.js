/** The Node snippets of the specification in one program. What stands between [spec …] and [/spec] is its text. */
import { generateChatSDKToken } from '@chatsdk/server';
import express from 'express';

const CHATSDK_API_URL = process.env.CHATSDK_API_URL;

/** The host's own authentication: `x-user` names who is signed in. */
const people = {
  ann: {
    id: 'user-123',
    name: 'Ann',
    avatarUrl: 'https://example.com/avatar.jpg',
    email: 'ann@example.com',
    role: 'admin',
    hasAccessToChat: true,
  },
  eve: { id: 'user-666', name: 'Eve', hasAccessToChat: false },
};
const findUser = (req, _res, next) => {
  req.user = people[req.get('x-user')];
  next();
};

const first = express();
{
  const app = first;
  app.use(findUser);
  // [spec token-route]
  // routes/auth.js
  app.post('/api/chat/token', async (req, res) => {
    // 1. Verify user is authenticated (YOUR auth middleware)
    const user = req.user;
    if (!user) {
      return res.status(401).json({ error: 'Unauthorized' });
    }
    // 2. Generate ChatSDK token
    const response = await fetch(`${CHATSDK_API_URL}/auth/tokens`, {
      method: 'POST',
      headers: {
        'X-API-Key': process.env.CHATSDK_API_KEY, // Keep this secret!
        'Content-Type': 'application/json',
      },
      body: JSON.stringify({
        userId: user.id,
        name: user.name,
        avatar: user.avatarUrl,
        // Optional custom data
        custom: {
          email: user.email,
          role: user.role,
        },
      }),
    });
    const tokens = await response.json();
    // 3. Return tokens to frontend
    res.json(tokens);
  });
  // [/spec]
}

const second = express();
{
  const app = second;
  const authenticateUser = findUser;
  // [spec validate-users]
  app.post('/api/chat/token', authenticateUser, async (req, res) => {
    // authenticateUser middleware ensures user is logged in
    const user = req.user; // From JWT, session, etc.
    if (!user.hasAccessToChat) {
      return res.status(403).json({ error: 'No chat access' });
    }
    // Generate ChatSDK token
    // ...
    res.json(await generateChatSDKToken({ userId: user.id })); // added: the dots
  });
  // [/spec]

  app.post('/expiry', authenticateUser, async (req, res) => {
    const user = req.user;
    // [spec expiry]
    // Recommended: 1 hour access token, 7 day refresh token
    const tokens = await generateChatSDKToken({
      userId: user.id,
      accessTokenExpiry: '1h', // Short-lived
      refreshTokenExpiry: '7d', // Longer-lived
    });
    // [/spec]
    res.json(tokens);
  });

  app.post('/custom-claims', authenticateUser, async (req, res) => {
    const user = req.user;
    // [spec custom-claims]
    // Backend: Add custom claims
    const tokens = await generateChatSDKToken({
      userId: user.id,
      name: user.name,
      custom: {
        role: 'admin',
        workspaceId: 'ws-123',
        permissions: ['read', 'write', 'delete'],
      },
    });
    // [/spec]
    res.json(tokens);
  });

  app.post('/cookie', authenticateUser, async (req, res) => {
    const { refreshToken, ...rest } = await generateChatSDKToken({ userId: req.user.id });
    // [spec cookie]
    // Backend sets httpOnly cookie with refreshToken
    res.cookie('chatRefreshToken', refreshToken, {
      httpOnly: true,
      secure: true,
      sameSite: 'strict',
      maxAge: 7 * 24 * 60 * 60 * 1000, // 7 days
    });
    // [/spec]
    res.json(rest);
  });
}

const all = express();
all.use('/first', first);
all.use('/second', second);
const server = all.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
