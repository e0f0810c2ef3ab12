// "Token Storage", "Web (React)", "localStorage"
import type { ChatSDK, Tokens } from '@chatsdk/core';
import { useEffect, useState } from 'react';
import { user } from './host.ts';

// [spec local-storage-tokens]
// Save tokens
export const saveTokens = (tokens: Tokens) => {
  localStorage.setItem('chatTokens', JSON.stringify(tokens));
};

// Load tokens
export const loadTokens = (): Tokens | null => {
  const stored = localStorage.getItem('chatTokens');
  return stored ? JSON.parse(stored) : null;
};
// [/spec]

// Corrected: the guide shows the effect alone. An effect needs a component, and this one shows the outcome.
export function StoredChat({ sdk }: { sdk: ChatSDK }) {
  const [name, setName] = useState('nobody');
  useEffect(() => sdk.on('connectivity', () => setName(sdk.user?.name ?? 'nobody')), [sdk]);

  // [spec local-storage-connect]
  // Initialize SDK with stored tokens
  useEffect(() => {
    const tokens = loadTokens();
    if (tokens) {
      sdk.connect({
        userID: user.id,
        token: tokens.accessToken,
        refreshToken: tokens.refreshToken,
        expiresAt: tokens.expiresAt,
      });
    }
    // Corrected: the guide has `[]`. The effect uses `sdk`.
  }, [sdk]);
  // [/spec]

  return <div>{name}</div>;
}
