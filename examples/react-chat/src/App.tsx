import { type FormEvent, useState } from 'react';
import { useChat } from './useChat.ts';

const WORDS = { connecting: 'Connecting…', connected: 'Connected', offline: 'Offline, reconnecting…' };

export function App() {
  const { user, state, refreshes, problem, signIn, signOut } = useChat();
  const [name, setName] = useState('ann');

  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void signIn(name);
  };

  if (state === null) {
    return (
      <main>
        <h1>Sign in</h1>
        <form onSubmit={submit}>
          <label>
            Name <input value={name} onChange={(event) => setName(event.target.value)} required />
          </label>{' '}
          <button type="submit">Sign in</button>
        </form>
        {problem && <p role="alert">{problem}</p>}
      </main>
    );
  }
  return (
    <main>
      <h1>Hello {user?.name ?? user?.id}</h1>
      <p role="status">{WORDS[state]}</p>
      <p>
        Tokens refreshed <span id="refreshes">{refreshes}</span> times
      </p>
      <button type="button" onClick={signOut}>
        Sign out
      </button>
    </main>
  );
}
