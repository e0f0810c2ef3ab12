/** The backends of the guides, served. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server on a free port of this machine. */
export class Served {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(app: RequestListener): Promise<Served> {
    const server = createServer(app);
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
    return new Served(server);
  }

  /** By its name, which the host-only cookies of the pages go by. */
  get url(): string {
    return `http://localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }
}
