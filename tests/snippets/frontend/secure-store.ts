// "Token Storage", "Mobile (React Native)", "Secure Storage"
import type { Tokens } from '@chatsdk/react-native';
// [spec secure-store]
import * as SecureStore from 'expo-secure-store';

export const saveTokens = async (tokens: Tokens) => {
  await SecureStore.setItemAsync('chatTokens', JSON.stringify(tokens));
};

export const loadTokens = async (): Promise<Tokens | null> => {
  const stored = await SecureStore.getItemAsync('chatTokens');
  return stored ? JSON.parse(stored) : null;
};
// [/spec]
