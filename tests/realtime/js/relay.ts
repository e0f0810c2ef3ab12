/** Stands between clients and a server, and cuts them off as a broken network does. */
import { connect, createServer, type Server as Listener, type Socket } from 'node:net';

export class Relay {
  readonly address: string;
  readonly #listener: Listener;
  readonly #sockets = new Set<Socket>();
  #broken = false;

  private constructor(listener: Listener, address: string) {
    this.#listener = listener;
    this.address = address;
  }

  /** A relay before the server at `address`. */
  static async start(address: string): Promise<Relay> {
    const [host, port] = address.split(':') as [string, string];
    const listener = createServer((near) => {
      if (relay.#broken) {
        near.resetAndDestroy();
        return;
      }
      const far = connect(Number(port), host);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        relay.#sockets.add(from);
        from.setNoDelay(true);
        from.on('error', () => to.destroy());
        from.on('close', () => {
          relay.#sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    });
    await new Promise<void>((ready) => listener.listen(0, '127.0.0.1', ready));
    const relay: Relay = new Relay(listener, `127.0.0.1:${(listener.address() as { port: number }).port}`);
    return relay;
  }

  /** Resets every connection, and each that is tried until `mend`. */
  cut(): void {
    this.#broken = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  mend(): void {
    this.#broken = false;
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resume) => this.#listener.close(resume));
  }
}
