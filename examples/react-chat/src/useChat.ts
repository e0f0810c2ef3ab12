import { ChatSDK, type ConnectionState, DisconnectedError, type Tokens, type User } from '@chatsdk/core';
import { useCallback, useEffect, useRef, useState } from 'react';

/** What a reload needs to go on. */
type Saved = Tokens & { userID: string };

// Each person's tokens have a place of their own: two people may be signed in, each in a tab.
const load = (userID: string | null): Saved | null => {
  try {
    return JSON.parse(localStorage.getItem(`chat:${userID}`) ?? 'null');
  } catch {
    // Blocked, or not ours: as good as none.
    return null;
  }
};

const save = (saved: Saved): void => localStorage.setItem(`chat:${saved.userID}`, JSON.stringify(saved));

/** Who this tab belongs to; a new tab belongs to whoever signed in last. */
const owner = {
  get: (): string | null => sessionStorage.getItem('chat') ?? localStorage.getItem('chat'),
  set: (userID: string): void => {
    for (const storage of [sessionStorage, localStorage]) storage.setItem('chat', userID);
  },
};

const forget = (userID: string): void => {
  localStorage.removeItem(`chat:${userID}`);
  for (const storage of [sessionStorage, localStorage]) {
    if (storage.getItem('chat') === userID) storage.removeItem('chat');
  }
};

/** Signs one person in, keeps them signed in, and tells how it stands. `state` is null while nobody is. */
export function useChat() {
  const [user, setUser] = useState<User | null>(null);
  const [state, setState] = useState<ConnectionState | null>(null);
  const [refreshes, setRefreshes] = useState(0);
  const [problem, setProblem] = useState('');

  // Whose tokens `onTokenRefresh` is told of.
  const me = useRef<string | null>(null);
  // The constructor starts nothing, so that it may run as often as React likes.
  const [sdk] = useState(
    () =>
      new ChatSDK({
        apiUrl: 'http://localhost:5500',
        wsUrl: 'ws://localhost:8001/connection/websocket',
        onTokenRefresh: (tokens) => {
          const saved = load(me.current);
          if (saved !== null) save({ ...saved, ...tokens });
          setRefreshes((count) => count + 1);
        },
      }),
  );

  const connect = useCallback(
    async ({ userID, accessToken, refreshToken, expiresAt }: Saved) => {
      me.current = userID;
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
        if (me.current !== null) forget(me.current);
        setState(null);
        setProblem(error?.message ?? 'You signed out.');
      }),
    ];
    const saved = load(owner.get());
    if (saved !== null) void connect(saved);
    return () => {
      for (const end of undo) end();
      void sdk.disconnect();
    };
  }, [sdk, connect]);

  const signIn = async (name: string): Promise<void> => {
    try {
      // Your app sends what your login gave it. The backends of these examples take the name for that.
      const headers = { Authorization: `Bearer ${name}` };
      const response = await fetch('/api/chat/token', { method: 'POST', headers });
      if (!response.ok) throw new Error(`Your backend answered ${response.status}.`);
      const { accessToken, refreshToken, expiresAt } = await response.json();
      const saved = { userID: name, accessToken, refreshToken, expiresAt };
      setProblem('');
      save(saved);
      owner.set(name);
      await connect(saved);
    } catch (error) {
      setProblem(String(error));
    }
  };

  const signOut = (): void => {
    if (me.current !== null) forget(me.current);
    setState(null);
    // Every tab of this person signs out, and the server ends the session.
    sdk.logout().catch((error: unknown) => setProblem(String(error)));
  };

  return { user, state, refreshes, problem, signIn, signOut };
}
