/** Runs the snippet that `?snippet=` names, in a real browser. */
import { ChatSDK } from '@chatsdk/core';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Panel } from '../custom-claims.tsx';
import { networkErrors, tokenExpired } from '../error-handling.ts';
import { happened, user, yourAuthToken } from '../host.ts';
import { CookieChat } from '../http-only-cookie.tsx';
import { loadTokens, StoredChat, saveTokens } from '../local-storage.tsx';
import { logoutOf, shortLogoutOf } from '../logout.ts';
import { App } from '../react-app.tsx';

const ADDRESSES = { apiUrl: 'http://localhost:5500', wsUrl: 'ws://localhost:8001/connection/websocket' };
const element = document.getElementById('root');
if (element === null) throw new Error('The page has no root element.');
const root = createRoot(element);
// The tests look at what happened, and press what the app would press.
Object.assign(globalThis, { happened });

async function signIn(sdk: ChatSDK): Promise<ChatSDK> {
  const headers = { Authorization: `Bearer ${yourAuthToken}` };
  const response = await fetch('/api/chat/token', { method: 'POST', headers });
  const { accessToken, refreshToken, expiresAt } = await response.json();
  saveTokens({ accessToken, refreshToken, expiresAt });
  await sdk.connect({ userID: user.id, token: accessToken, refreshToken, expiresAt });
  return sdk;
}

const snippets: Record<string, () => Promise<void>> = {
  react: async () => root.render(<App />),
  strict: async () =>
    root.render(
      <StrictMode>
        <App />
      </StrictMode>,
    ),
  stored: async () => {
    if (loadTokens() === null) await (await signIn(new ChatSDK(ADDRESSES))).disconnect();
    root.render(<StoredChat sdk={new ChatSDK({ ...ADDRESSES, onTokenRefresh: saveTokens })} />);
  },
  cookie: async () => root.render(<CookieChat />),
  claims: async () => {
    const sdk = await signIn(new ChatSDK(ADDRESSES));
    root.render(<Panel sdk={sdk} />);
  },
  logout: async () => {
    const sdk = await signIn(new ChatSDK(ADDRESSES));
    await logoutOf(sdk)();
    happened.push(`user ${sdk.user}`, `tokens ${loadTokens()}`);
  },
  'short-logout': async () => {
    const sdk = await signIn(new ChatSDK(ADDRESSES));
    await shortLogoutOf(sdk)();
    happened.push(`user ${sdk.user}`, `tokens ${loadTokens()}`);
  },
  expired: async () => {
    await signIn(tokenExpired(ADDRESSES));
    happened.push('connected');
  },
  network: async () => {
    await signIn(new ChatSDK({ ...ADDRESSES, ...networkErrors }));
    happened.push('connected');
  },
};

const name = new URLSearchParams(location.search).get('snippet') ?? '';
await snippets[name]?.();
