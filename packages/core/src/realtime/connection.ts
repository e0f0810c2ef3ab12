/**
 * The socket. The only file that knows `centrifuge`, whose client keeps the connection up and asks for a
 * token before each attempt and when the connection's time is nearly over. What it considers final (a refused
 * token, a revoked session) is answered here by one refresh: only the answer to that can end a session.
 */
import { Centrifuge, UnauthorizedError } from 'centrifuge';
import type { Logger } from '../logger.ts';
import type { Platform } from '../platform/platform.ts';
import { backoff } from '../tokens/schedule.ts';

/** `offline` is everything between a loss, or a first refresh that failed, and the next success; it heals by itself. */
export type ConnectionState = 'connecting' | 'connected' | 'offline';

/** Where the connection gets its tokens. */
export interface TokenSource {
  /**
   * A token that works and is not `refused`, however long that takes. Rejects when the session is over.
   * @param ending it is only about to end: where nothing can replace it, it will do until the server refuses it
   */
  tokenOtherThan(refused: string | null, ending?: boolean): Promise<string>;
}

/** The token had expired. */
const TOKEN_EXPIRED = 109;
/** The token is invalid. */
const TOKEN_INVALID = 3500;
/** Forced off. What ends a session has its code for a reason; an operator, who ends a connection, whatever he likes. */
const FORCED = 3503;
/** `disconnect()` was called, and `getToken` said that there is no session. */
const OURS = [0, 1];

export type Connection = ReturnType<typeof makeConnection>;

export function makeConnection(
  url: string,
  tokens: TokenSource,
  platform: Platform,
  logger: Logger,
  onState: (state: ConnectionState) => void,
) {
  const { timers, random, webSocket } = platform;
  let open = false;
  /** The token of the last attempt, or of the last refresh in band. */
  let sent: string | null = null;
  /** The server would not have `sent`. */
  let refused = false;
  /** Closes in a row that centrifuge takes for final. */
  let closes = 0;
  let cancelRetry = (): void => {};
  let cancelCalm = (): void => {};

  const client = new Centrifuge(url, {
    name: 'chatsdk-js',
    getToken,
    websocket: webSocket,
    networkEventTarget: networkTarget(platform, lost),
  });
  client.on('connecting', ({ code, reason }) => {
    logger.debug(`Socket: connecting (${code} ${reason})`);
    // An empty token makes the client ask for one at each attempt, and not use an old one up first.
    client.setToken('');
    if (code !== 0) lost();
  });
  client.on('error', ({ type, error }) => {
    logger.debug(`Socket: ${type} error ${error.code} ${error.message}`);
    if (error.code === TOKEN_EXPIRED) refused = true;
    if (client.state === 'connecting') {
      client.setToken('');
      if (type !== 'connectToken') lost();
    }
  });
  client.on('connected', () => {
    refused = false;
    cancelCalm();
    cancelCalm = timers.after(60_000, () => {
      closes = 0;
    });
    onState('connected');
  });
  client.on('disconnected', ({ code, reason }) => {
    cancelCalm();
    if (!open || OURS.includes(code)) return;
    logger.debug(`Socket: closed (${code} ${reason})`);
    lost();
    const unwanted = code === TOKEN_INVALID || (code === FORCED && /_/.test(reason));
    if (unwanted) refused = true;
    closes += 1;
    // The first refusal is answered at once: the wait for another token is wait enough.
    const delay = unwanted && closes === 1 ? 0 : Math.max(1_000, backoff(closes + 2, random()));
    cancelRetry();
    cancelRetry = timers.after(delay, () => {
      if (open) client.connect();
    });
  });

  async function getToken(): Promise<string> {
    // While connected, the client asks because the time of the token that it sent is nearly over.
    const another = refused || connected();
    try {
      sent = await tokens.tokenOtherThan(another ? sent : null, !refused);
      refused = false;
      return sent;
    } catch (error) {
      // The session is over, and this connection with it; or it was left and begun anew, and asks again.
      throw open ? error : new UnauthorizedError('the session is over');
    }
  }

  function connected(): boolean {
    return client.state === 'connected';
  }

  /** Where there is no connection, a next one does not come at once. */
  function lost(): void {
    if (open && !connected()) onState('offline');
  }

  return {
    /** Whether the server has accepted the connection and it is up. */
    connected,
    lost,

    /** Connects, and stays connected until {@link close}. */
    open(): void {
      if (open) return;
      open = true;
      client.connect();
      onState('connecting');
    },

    /** Connects anew, as whoever the tokens now speak for. Nobody is told of the gap unless it lasts. */
    restart(): void {
      if (!open || !connected()) return;
      client.disconnect();
      client.connect();
    },

    /** Closes for good, at once. */
    close(): void {
      open = false;
      cancelRetry();
      cancelCalm();
      client.disconnect();
    },
  };
}

/**
 * The platform's network as the event target that centrifuge listens on. Of an attempt that it gives up because of that,
 * it tells nobody.
 */
function networkTarget(platform: Platform, lost: () => void): EventTarget {
  const undo = new Map<unknown, () => void>();
  return {
    addEventListener: (type: string, listener: unknown) => {
      const call = listener as () => void;
      undo.set(
        listener,
        platform.network.subscribe((online) => {
          if (online === (type === 'online')) call();
          if (!online) lost();
        }),
      );
    },
    removeEventListener: (_type: string, listener: unknown) => {
      undo.get(listener)?.();
      undo.delete(listener);
    },
    dispatchEvent: () => false,
  };
}
