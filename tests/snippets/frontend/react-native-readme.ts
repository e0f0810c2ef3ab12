// The code of packages/react-native/README.md.
import { ChatSDK, secureStoreAdapter } from '@chatsdk/react-native';
import AsyncStorage from '@react-native-async-storage/async-storage';
import NetInfo from '@react-native-community/netinfo';
import * as SecureStore from 'expo-secure-store';

export async function connect(userID: string, token: string, refreshToken: string, expiresAt: number) {
  const sdk = new ChatSDK({
    apiUrl: 'https://chat.example.com',
    storage: secureStoreAdapter(SecureStore, 'chat', { installation: AsyncStorage }),
    netInfo: NetInfo,
  });
  await sdk.connect({ userID, token, refreshToken, expiresAt });
  return sdk;
}
