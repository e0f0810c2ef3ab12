// "React Example"
// [spec react]
import { ChatSDK } from '@chatsdk/core';
import { useEffect, useState } from 'react';
// [/spec]
import { yourAuthToken } from './host.ts';

// [spec react]
export function App() {
  const [sdk, setSDK] = useState<ChatSDK | null>(null);

  useEffect(() => {
    const initChat = async () => {
      // 1. Get tokens from YOUR backend
      const response = await fetch('/api/chat/token', {
        // Corrected: the backend of the guide has a POST route here, and fetch sends GET unless told.
        method: 'POST',
        headers: {
          Authorization: `Bearer ${yourAuthToken}`,
        },
      });
      const { accessToken, refreshToken, expiresAt } = await response.json();

      // 2. Initialize ChatSDK with automatic token refresh
      const chatSDK = new ChatSDK({
        apiUrl: 'http://localhost:5500',
        wsUrl: 'ws://localhost:8001/connection/websocket',
        // Token refresh callback (saves new tokens)
        onTokenRefresh: (tokens) => {
          console.log('✅ Tokens auto-refreshed!');
          // Save to localStorage or secure storage
          localStorage.setItem('chatTokens', JSON.stringify(tokens));
        },
      });

      // 3. Connect with tokens
      await chatSDK.connect({
        userID: 'user-123',
        token: accessToken,
        refreshToken: refreshToken,
        expiresAt: expiresAt,
      });
      setSDK(chatSDK);
    };
    initChat();
  }, []);

  return <div>{sdk ? 'Connected!' : 'Connecting...'}</div>;
}
// [/spec]
