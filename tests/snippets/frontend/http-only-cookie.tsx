// "Token Storage", "Web (React)", "httpOnly Cookies"
import { ChatSDK, type HostRefresh, memoryStorage } from '@chatsdk/core';
import { useEffect, useState } from 'react';
import { user } from './host.ts';

// Corrected: the guide shows one line of the front end, the state. With it alone nobody could refresh, because
// the page does not have the refresh token. `refreshTokens` asks the backend, which has it in the cookie.
export function CookieChat() {
  // [spec cookie-state]
  // Frontend only stores accessToken in memory
  const [accessToken, setAccessToken] = useState<string>('');
  // [/spec]
  const [refreshes, setRefreshes] = useState(0);

  useEffect(() => {
    const ask = async (
      path: string,
      request?: HostRefresh,
    ): Promise<{ accessToken: string; expiresAt: number }> => {
      const response = await fetch(path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ sentAt: request?.sentAt }),
        signal: request?.signal ?? null,
      });
      // 408: it was on its way for long. What the server says of the time is for the SDK.
      if (!response.ok && response.status !== 408) throw new Error(`the backend answered ${response.status}`);
      return await response.json();
    };
    const sdk = new ChatSDK({
      apiUrl: 'http://localhost:5500',
      wsUrl: 'ws://localhost:8001/connection/websocket',
      // The access token stays in memory, too.
      storage: memoryStorage(),
      refreshTokens: (request) => ask('/api/chat/refresh', request),
      onTokenRefresh: (tokens) => {
        setAccessToken(tokens.accessToken);
        setRefreshes((count) => count + 1);
      },
    });
    const initChat = async () => {
      const first = await ask('/api/chat/cookie-token');
      setAccessToken(first.accessToken);
      await sdk.connect({ userID: user.id, token: first.accessToken, expiresAt: first.expiresAt });
    };
    initChat();
    return () => {
      sdk.disconnect();
    };
  }, []);

  return (
    <div>
      {accessToken ? 'Signed in' : 'Signing in'} <span id="refreshes">{refreshes}</span>
    </div>
  );
}
