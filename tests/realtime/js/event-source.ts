/** As much of a browser's `EventSource` as the client uses; Node has none. */
export class FetchEventSource {
  static readonly CLOSED = 2;
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  readonly #abort = new AbortController();

  constructor(url: string) {
    this.#read(url).catch((error) => this.#end(error));
  }

  close(): void {
    this.readyState = FetchEventSource.CLOSED;
    this.#abort.abort();
  }

  async #read(url: string): Promise<void> {
    const response = await fetch(url, { signal: this.#abort.signal });
    if (!response.ok || response.body === null) throw new Error(`status ${response.status}`);
    this.readyState = 1;
    this.onopen?.();
    let text = '';
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const events = text.split('\n\n');
      text = events.pop() ?? '';
      for (const event of events) {
        const line = event.trimStart();
        if (line.startsWith('data: ')) this.onmessage?.({ data: line.slice('data: '.length) });
      }
    }
    this.#end(new Error('the stream has ended'));
  }

  #end(error: unknown): void {
    if (this.readyState === FetchEventSource.CLOSED) return;
    this.readyState = FetchEventSource.CLOSED;
    this.onerror?.(error);
  }
}
