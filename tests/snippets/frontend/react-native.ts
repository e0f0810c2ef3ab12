// "React Native Example"
// [spec react-native]
import { ChatSDK } from '@chatsdk/react-native';
import AsyncStorage from '@react-native-async-storage/async-storage';
// [/spec]
import { user } from './host.ts';

// [spec react-native]
export const initChat = async () => {
  // 1. Get tokens from YOUR backend
  const authToken = await AsyncStorage.getItem('authToken');
  const response = await fetch('https://yourapi.com/chat/token', {
    // Corrected: the backend of the guide has a POST route, and fetch sends GET unless told.
    method: 'POST',
    headers: { Authorization: `Bearer ${authToken}` },
  });
  const { accessToken, refreshToken, expiresAt } = await response.json();

  // 2. Initialize ChatSDK
  const sdk = new ChatSDK({
    apiUrl: 'https://your-chatsdk-api.com',
    wsUrl: 'wss://your-chatsdk-api.com/ws',
    // Auto-refresh callback
    onTokenRefresh: async (tokens) => {
      // Save to secure storage
      await AsyncStorage.setItem('chatTokens', JSON.stringify(tokens));
    },
  });

  // 3. Connect
  await sdk.connect({
    userID: user.id,
    token: accessToken,
    refreshToken: refreshToken,
    expiresAt: expiresAt,
  });
  return sdk;
};
// [/spec]
