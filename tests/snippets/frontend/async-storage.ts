// "Token Storage", "Mobile (React Native)", "AsyncStorage"
import type { Tokens } from '@chatsdk/react-native';
// [spec async-storage]
import AsyncStorage from '@react-native-async-storage/async-storage';

export const saveTokens = async (tokens: Tokens) => {
  await AsyncStorage.setItem('chatTokens', JSON.stringify(tokens));
};

export const loadTokens = async (): Promise<Tokens | null> => {
  const stored = await AsyncStorage.getItem('chatTokens');
  return stored ? JSON.parse(stored) : null;
};
// [/spec]
