// "Configuration": "Default" and "Custom Buffer"
import { ChatSDK } from '@chatsdk/core';
import { redirectToLogin, saveTokensSecurely } from './host.ts';

export function byDefault() {
  const sdk = new ChatSDK({
    apiUrl: 'https://api.yourdomain.com',
    wsUrl: 'wss://api.yourdomain.com/ws',
    // Refresh 5 minutes before expiration (default)
    refreshBufferMs: 5 * 60 * 1000,
    // Save refreshed tokens
    onTokenRefresh: (tokens) => {
      saveTokensSecurely(tokens);
    },
    // Handle refresh errors
    onRefreshError: (error) => {
      console.error('Token refresh failed:', error);
      // Corrected: the guide redirects on every error. This one may also say that the network is down for
      // longer than the token lives; the session is kept then, and nobody has to log in again.
      if (error.message.includes('Network')) return;
      // Redirect to login
      redirectToLogin();
    },
  });
  return sdk;
}

export function customBuffer() {
  const sdk = new ChatSDK({
    // Corrected: the guide leaves the addresses out ('...').
    apiUrl: 'https://api.yourdomain.com',
    wsUrl: 'wss://api.yourdomain.com/ws',
    refreshBufferMs: 10 * 60 * 1000, // 10 minutes
  });
  return sdk;
}
