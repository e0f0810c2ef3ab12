// "Handle Logout Properly"
import type { ChatSDK } from '@chatsdk/core';
import { router } from './host.ts';

export const logoutOf = (sdk: ChatSDK) => {
  // [spec logout]
  const logout = async () => {
    // 1. Disconnect from ChatSDK
    sdk.disconnect();
    // 2. Clear tokens
    localStorage.removeItem('chatTokens');
    // 3. Invalidate refresh token on backend
    await fetch('/api/auth/logout', { method: 'POST' });
    // 4. Redirect to login
    router.push('/login');
  };
  // [/spec]
  return logout;
};

// Not in the guide: steps 1 to 3 in one, for every tab, and tried again where the network is down.
export const shortLogoutOf = (sdk: ChatSDK) => {
  const logout = async () => {
    await sdk.logout();
    localStorage.removeItem('chatTokens');
    router.push('/login');
  };
  return logout;
};
