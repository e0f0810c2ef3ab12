import {
  ChatSDK,
  type ConnectionState,
  DisconnectedError,
  type StoredTokens,
  secureStoreAdapter,
} from '@chatsdk/react-native';
import AsyncStorage from '@react-native-async-storage/async-storage';
import NetInfo from '@react-native-community/netinfo';
import * as SecureStore from 'expo-secure-store';
import { useCallback, useEffect, useState } from 'react';
import { AppState, Button, StyleSheet, Text, TextInput, View } from 'react-native';

const API_URL = process.env.EXPO_PUBLIC_API_URL ?? 'http://localhost:5500';
const WS_URL = process.env.EXPO_PUBLIC_WS_URL ?? 'ws://localhost:8001/connection/websocket';
const BACKEND_URL = process.env.EXPO_PUBLIC_BACKEND_URL ?? 'http://localhost:3000';

const WORDS = { connecting: 'Connecting…', connected: 'Connected', offline: 'Offline, reconnecting…' };

// In the Keychain or behind the Keystore, and only as long as this app stays installed.
const storage = secureStoreAdapter(SecureStore, 'chat', { installation: AsyncStorage });

export default function App() {
  const [name, setName] = useState('ann');
  const [hello, setHello] = useState('');
  const [state, setState] = useState<ConnectionState | null>(null);
  const [refreshes, setRefreshes] = useState(0);
  const [problem, setProblem] = useState('');

  // The constructor starts nothing, so that it may run as often as React likes.
  const [sdk] = useState(
    () =>
      new ChatSDK({
        apiUrl: API_URL,
        wsUrl: WS_URL,
        storage,
        netInfo: NetInfo,
        onTokenRefresh: () => setRefreshes((count) => count + 1),
      }),
  );

  const connect = useCallback(
    async (userID: string, token: string, refreshToken?: string, expiresAt?: number) => {
      const user = await sdk.connect({ userID, token, refreshToken, expiresAt });
      setHello(`Hello ${user.name ?? user.id}`);
    },
    [sdk],
  );

  useEffect(() => {
    const undo = [
      sdk.on('connectivity', (now) => setState(now.state)),
      // The session was ended by your backend, or nobody used it for too long.
      sdk.on('sessionEnded', ({ error }) => {
        setState(null);
        setProblem(error?.message ?? 'You signed out.');
      }),
    ];
    // What the last run of the app left goes on, online or not.
    const resume = async (): Promise<void> => {
      try {
        const saved = (await storage.get()) as StoredTokens | null;
        if (saved?.accessToken === undefined || sdk.connectivity !== null) return;
        setProblem('');
        await connect(saved.userID, saved.accessToken, saved.refreshToken, saved.expiresAt);
      } catch (error) {
        // Who leaves before it is connected did not fail.
        if (!(error instanceof DisconnectedError)) setProblem(String(error));
      }
    };
    void resume();
    // A keychain that was locked when the app was started can be read once somebody looks at it.
    const looking = AppState.addEventListener('change', (now) => {
      if (now === 'active' && sdk.connectivity === null) void resume();
    });
    return () => {
      for (const end of undo) end();
      looking.remove();
      void sdk.disconnect();
    };
  }, [sdk, connect]);

  const signIn = async (): Promise<void> => {
    try {
      setProblem('');
      // Your app sends what your login gave it. The backends of these examples take the name for that.
      const headers = { Authorization: `Bearer ${name}` };
      const response = await fetch(`${BACKEND_URL}/api/chat/token`, { method: 'POST', headers });
      if (!response.ok) throw new Error(`Your backend answered ${response.status}.`);
      const { accessToken, refreshToken, expiresAt } = await response.json();
      await connect(name, accessToken, refreshToken, expiresAt);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };

  const signOut = (): void => {
    setState(null);
    // The tokens are removed at once; the server is told as soon as it can be reached.
    sdk.logout().catch((error: unknown) => setProblem(String(error)));
  };

  if (state === null) {
    return (
      <View style={styles.screen}>
        <TextInput
          style={styles.input}
          accessibilityLabel="Name"
          value={name}
          onChangeText={setName}
          autoCapitalize="none"
        />
        <Button title="Sign in" onPress={signIn} />
        <Text>{problem}</Text>
      </View>
    );
  }
  return (
    <View style={styles.screen}>
      <Text style={styles.title}>{hello}</Text>
      <Text testID="status">{WORDS[state]}</Text>
      <Text testID="refreshes">{refreshes}</Text>
      <Button title="Sign out" onPress={signOut} />
    </View>
  );
}

const styles = StyleSheet.create({
  screen: { flex: 1, justifyContent: 'center', alignItems: 'center', gap: 16, padding: 24 },
  title: { fontSize: 28 },
  input: { borderWidth: 1, borderRadius: 8, padding: 12, minWidth: 240 },
});
