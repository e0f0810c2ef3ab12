// "Error Handling": "Token Expired" and "Network Errors During Refresh"
import { ChatSDK, type ChatSDKOptions } from '@chatsdk/core';
import { redirectToLogin, showOfflineBanner } from './host.ts';

// Corrected: the guide leaves the addresses out ('...').
type Addresses = Pick<ChatSDKOptions, 'apiUrl' | 'wsUrl'>;

export function tokenExpired({ apiUrl, wsUrl }: Addresses) {
  // [spec token-expired]
  const sdk = new ChatSDK({
    apiUrl,
    wsUrl,
    onRefreshError: async (error) => {
      console.error('Token refresh failed:', error);
      // Clear invalid tokens
      localStorage.removeItem('chatTokens');
      // Redirect to login
      window.location.href = '/login';
    },
  });
  // [/spec]
  return sdk;
}

// Corrected: the guide shows the member alone.
export const networkErrors: Pick<ChatSDKOptions, 'onRefreshError'> = {
  // [spec network-errors]
  // ChatSDK automatically retries failed refreshes with exponential backoff
  // You just need to handle the final failure:
  onRefreshError: (error) => {
    if (error.message.includes('Network')) {
      // Show offline banner
      showOfflineBanner();
    } else {
      // Token is invalid, require re-login
      redirectToLogin();
    }
  },
  // [/spec]
};
