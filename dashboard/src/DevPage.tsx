/** The page of `chatsdk dev`: shows that a session stays alive, and lets one try what ends it. */
import { useEffect, useState, useSyncExternalStore } from 'react';
import type { Demo, View } from './demo.ts';

const PEOPLE = [
  { id: 'ann', name: 'Ann' },
  { id: 'bob', name: 'Bob' },
];

interface Props {
  readonly demo: Demo;
  readonly userId: string;
  readonly ttl: string | null;
}

export function DevPage({ demo, userId, ttl }: Props): React.JSX.Element {
  const view = useSyncExternalStore(demo.subscribe, demo.view);
  useEffect(() => {
    void demo.start();
    return () => demo.stop();
  }, [demo]);
  const name = view.user?.name ?? userId;
  const over = view.phase === 'ended' || view.phase === 'failed';

  return (
    <>
      <header>
        <p className="brand">
          <span className="mark" aria-hidden="true" />
          ChatSDK <span className="tag">development</span>
        </p>
        <nav aria-label="Reference">
          <a href="/docs">API reference</a>
          <a href="/.well-known/jwks.json">Signing keys</a>
        </nav>
      </header>

      <main>
        <section className="card" aria-labelledby="session">
          <div className="who">
            <span className="avatar" aria-hidden="true">
              {name.slice(0, 1).toUpperCase()}
            </span>
            <div>
              <h1 id="session">Session</h1>
              <p id="user">{name === userId ? userId : `${name} (${userId})`}</p>
            </div>
            <p id="status" role="status" className={`pill ${view.phase}`}>
              {sentence(view)}
            </p>
          </div>

          <dl className="facts">
            <div>
              <dt>Refreshes so far</dt>
              <dd id="refreshes">{view.refreshes}</dd>
            </div>
            <div>
              <dt>Access token ends in</dt>
              <dd id="expires">
                <Countdown to={view.expiresAt} />
              </dd>
            </div>
            <div>
              <dt>Life of a token</dt>
              <dd>{ttl ?? view.config?.tokens.accessTokenExpiry ?? '–'}</dd>
            </div>
          </dl>

          <div className="actions">
            {over ? (
              <button type="button" className="primary" onClick={() => void demo.start()}>
                Sign in again
              </button>
            ) : (
              <button type="button" onClick={() => void demo.signOut()}>
                Sign out
              </button>
            )}
            <fieldset>
              <legend>Be somebody else</legend>
              {PEOPLE.map((person) => (
                <a
                  key={person.id}
                  href={address(person.id, ttl)}
                  aria-current={person.id === userId ? 'page' : undefined}
                >
                  {person.name}
                </a>
              ))}
            </fieldset>
          </div>
        </section>

        <section className="card" aria-labelledby="happened">
          <h2 id="happened">What happened</h2>
          <ol className="log">
            {view.log.map((entry) => (
              <li key={entry.id}>
                <time dateTime={entry.at.toISOString()}>{entry.at.toLocaleTimeString()}</time>
                <span>{entry.text}</span>
              </li>
            ))}
          </ol>
        </section>

        <section className="card" aria-labelledby="try">
          <h2 id="try">Try to break it</h2>
          <ul className="hints">
            <li>
              Leave the page open past the life of the token. With{' '}
              <a href={address(userId, '10s')}>ten seconds</a> that is soon.
            </li>
            <li>Stop the server, wait, and start it again: the page comes back by itself.</li>
            <li>Open the page in many tabs: they share one session and take turns to refresh it.</li>
            <li>
              End the session from a terminal with <code>chatsdk session revoke</code>: the page signs out.
            </li>
          </ul>
        </section>
      </main>

      <footer>
        <p>
          API <code>{view.config?.apiUrl ?? '–'}</code> Realtime <code>{view.config?.wsUrl ?? '–'}</code>
        </p>
      </footer>
    </>
  );
}

function sentence(view: View): string {
  switch (view.phase) {
    case 'connecting':
      return 'Connecting…';
    case 'connected':
      return 'Connected';
    case 'offline':
      return 'Offline, reconnecting…';
    case 'ended':
      return `Signed out: ${view.reason}`;
    case 'failed':
      return `Could not sign in: ${view.reason}`;
  }
}

function address(user: string, ttl: string | null): string {
  const query = new URLSearchParams({ user, ...(ttl === null ? {} : { ttl }) });
  return `?${query}`;
}

/** Its own component, so that a second that passes draws nothing else anew. */
function Countdown({ to }: { readonly to: number | null }): React.JSX.Element {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (to === null) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [to]);
  return <>{to === null ? '–' : duration(to - now)}</>;
}

function duration(ms: number): string {
  if (ms <= 0) return 'ended';
  const seconds = Math.ceil(ms / 1_000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}
