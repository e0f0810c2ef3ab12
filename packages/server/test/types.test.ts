/** The handlers fit Express without a cast, and know its requests. */
import express from 'express';
import { expect, it } from 'vitest';
import { cookieRoutes, tokenRoute } from '../src/express.ts';
import { createChatSDKServer, type TokenRequest } from '../src/index.ts';

declare global {
  namespace Express {
    interface Request {
      user?: { id: number; name: string };
    }
  }
}

it('takes what an app has', () => {
  const chat = createChatSDKServer({ apiUrl: 'http://localhost:5500', apiKey: 'csk_live_x' });
  const app = express();
  app.post(
    '/token',
    tokenRoute({
      chat,
      user: (req: express.Request) => req.user && { userId: req.user.id, name: req.user.name },
    }),
  );
  const user = async (req: express.Request): Promise<TokenRequest | null> =>
    req.user === undefined ? null : { userId: req.user.id };
  const { issue, refresh, logout } = cookieRoutes({ chat, user });
  app.post('/issue', issue).post('/refresh', refresh).post('/logout', logout);
  expect(app).toBeDefined();
});
