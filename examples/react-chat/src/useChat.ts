import { ChatSDK, type ConnectionState, DisconnectedError, type Tokens, type User } from '@chatsdk/core';
import { useCallback, useEffect, useState } from 'react';

/** What a reload needs to go on. */
type Saved = Tokens & { userID: string };

const load = (): Saved | null => JSON.parse(localStorage.getItem('chat') ?? 'null');
const save = (saved: Saved): void => localStorage.setItem('chat', JSON.stringify(saved));

/** Signs one person in, keeps them signed in, and tells how it stands. `state` is null while nobody is. */
export function useChat() {
  const [user, setUser] = useState<User | null>(null);
  const [state, setState] = useState<ConnectionState | null>(null);
  const [refreshes, setRefreshes] = useState(0);
  const [problem, setProblem] = useState('');

  // The constructor starts nothing, so that it may run as often as React likes.
  const [sdk] = useState(
    () =>
      new ChatSDK({
        apiUrl: 'http://localhost:5500',
        wsUrl: 'ws://localhost:8001/connection/websocket',
        onTokenRefresh: (tokens) => {
          const saved = load();
          if (saved !== null) save({ ...saved, ...tokens });
          setRefreshes((count) => count + 1);
        },
      }),
  );

  const connect = useCallback(
    async ({ userID, accessToken, refreshToken, expiresAt }: Saved) => {
      try {
        setUser(await sdk.connect({ userID, token: accessToken, refreshToken, expiresAt }));
      } catch (error) {
        // Who leaves before it is connected did not fail.
        if (!(error instanceof DisconnectedError)) setProblem(String(error));
      }
    },
    [sdk],
  );

  useEffect(() => {
    const undo = [
      sdk.on('connectivity', (now) => {
        setState(now.state);
        setUser(sdk.user);
      }),
      // The session was ended by you, by your backend, or in another tab.
      sdk.on('sessionEnded', ({ error }) => {
        localStorage.removeItem('chat');
        setState(null);
        setProblem(error?.message ?? 'You signed out.');
      }),
    ];
    const saved = load();
    if (saved !== null) void connect(saved);
    return () => {
      for (const end of undo) end();
      void sdk.disconnect();
    };
  }, [sdk, connect]);

  const signIn = async (name: string): Promise<void> => {
    // Your app sends what your login gave it. The backends of these examples take the name for that.
    const headers = { Authorization: `Bearer ${name}` };
    const response = await fetch('/api/chat/token', { method: 'POST', headers });
    if (!response.ok) return setProblem(`Your backend answered ${response.status}.`);
    const { accessToken, refreshToken, expiresAt } = await response.json();
    const saved = { userID: name, accessToken, refreshToken, expiresAt };
    setProblem('');
    save(saved);
    await connect(saved);
  };

  const signOut = (): void => {
    localStorage.removeItem('chat');
    setState(null);
    // Every tab signs out, and the server ends the session.
    void sdk.logout();
  };

  return { user, state, refreshes, problem, signIn, signOut };
}
