// "Configuration": "Default" and "Custom Buffer". The first redirects on every error; "Network Errors During Refresh",
// further down in the guide, tells those apart that say that the network is down for longer than the token lives.
import { ChatSDK } from '@chatsdk/core';
import { redirectToLogin, saveTokensSecurely } from './host.ts';

export function byDefault() {
  // [spec default-configuration]
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
      // Redirect to login
      redirectToLogin();
    },
  });
  // [/spec]
  return sdk;
}

export function customBuffer() {
  // [spec custom-buffer]
  const sdk = new ChatSDK({
    // Corrected: the guide leaves the addresses out ('...').
    apiUrl: 'https://api.yourdomain.com',
    wsUrl: 'wss://api.yourdomain.com/ws',
    refreshBufferMs: 10 * 60 * 1000, // 10 minutes
  });
  // [/spec]
  return sdk;
}
