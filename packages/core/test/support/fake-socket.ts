/** A server side of the Centrifuge protocol in memory: answers what the test says. */

type Answer = {
  connect?: Record<string, unknown>;
  refresh?: Record<string, unknown>;
  error?: { code: number; message: string };
};

/** Every socket of one test, and what each of them is answered. */
export class FakeRealtime {
  /** The tokens that came, in order. */
  readonly tokens: string[] = [];
  readonly sockets = new Set<FakeSocket>();
  /** How many sockets were ever opened. */
  opened = 0;
  /** What a connect with `token` is answered; a close code closes instead. */
  onConnect: (token: string) => Answer | number = () => accepted();
  onRefresh: (token: string) => Answer | number = () => ({
    refresh: { client: 'c', expires: true, ttl: 3_600 },
  });

  /** The constructor to hand to the platform. */
  get webSocket(): unknown {
    const realtime = this;
    return class extends FakeSocket {
      constructor(url: string) {
        super(url, realtime);
      }
    };
  }

  /** Closes what is open, as the server would. */
  closeAll(code: number, reason = ''): void {
    for (const socket of [...this.sockets]) socket.end(code, reason);
  }
}

/** The reply to a connect that is let in. */
export function accepted(ttl = 3_600): Answer {
  return { connect: { client: 'c', version: '', expires: true, ttl, ping: 25, pong: true } };
}

class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  binaryType = 'blob';
  readyState = 0;
  readonly #realtime: FakeRealtime;

  constructor(_url: string, realtime: FakeRealtime) {
    this.#realtime = realtime;
    realtime.sockets.add(this);
    realtime.opened += 1;
    setImmediate(() => {
      this.readyState = 1;
      this.onopen?.();
    });
  }

  send(data: string): void {
    for (const line of data.split('\n')) {
      const command = JSON.parse(line) as {
        id?: number;
        connect?: { token?: string };
        refresh?: { token?: string };
      };
      const about = command.connect ?? command.refresh;
      if (about === undefined) continue;
      const token = about.token ?? '';
      this.#realtime.tokens.push(token);
      const answer = command.connect ? this.#realtime.onConnect(token) : this.#realtime.onRefresh(token);
      setImmediate(() => {
        if (typeof answer === 'number') this.end(answer, '');
        else this.onmessage?.({ data: JSON.stringify({ id: command.id, ...answer }) });
      });
    }
  }

  close(): void {
    this.end(1000, '');
  }

  end(code: number, reason: string): void {
    if (!this.#realtime.sockets.delete(this)) return;
    this.readyState = 3;
    setImmediate(() => this.onclose?.({ code, reason }));
  }
}
