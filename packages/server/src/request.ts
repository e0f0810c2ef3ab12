/** One call to the API: bounded in time, repeated where that may help and can do no harm. */
import { ApiError, ChatSDKError, type ErrorCode, InvalidInputError, NetworkError } from './errors.ts';
import type { Settings } from './options.ts';

/** What to send. Every call of this package may be repeated: see `ChatSDKServer`. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Begins with a slash. */
  readonly path: string;
  /** Made anew for each attempt. */
  readonly body?: () => Readonly<Record<string, unknown>>;
  /** Whether the API key goes along. */
  readonly key: boolean;
  /** Shorter than the settings say, in ms. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** The largest pause that chance may choose, in ms. */
const LONGEST_PAUSE = 4_000;

/** The pause before retry number `retry`, counted from 0: full jitter, so that a herd spreads. */
export function backoff(retry: number, random: number): number {
  return random * Math.min(LONGEST_PAUSE, 200 * 2 ** retry);
}

/** Sends `call` and answers the JSON of the reply. Throws a {@link ChatSDKError}, or the reason of its signal. */
export async function send(settings: Settings, call: Call): Promise<unknown> {
  const { runtime, maxRetries } = settings;
  if (call.key && settings.apiKey() === null) {
    throw new InvalidInputError('apiKey', 'This needs an API key, and apiKey is null.');
  }
  call.signal?.throwIfAborted();
  const end = runtime.mono() + (call.timeoutMs ?? settings.timeoutMs);
  for (let retry = 0; ; retry += 1) {
    const left = end - runtime.mono();
    const outcome = await attempt(settings, call, Math.min(settings.attemptTimeoutMs, left));
    if (!(outcome instanceof ChatSDKError)) return outcome.body;
    const pause = Math.max(outcome.retryAfterMs ?? 0, backoff(retry, runtime.random()));
    // A caller who is told to wait for longer than the call may take knows better what to do meanwhile.
    if (!outcome.retryable || retry >= maxRetries || runtime.mono() + pause >= end) throw outcome;
    try {
      await runtime.wait(pause, call.signal);
    } finally {
      call.signal?.throwIfAborted();
    }
  }
}

async function attempt(
  settings: Settings,
  call: Call,
  timeoutMs: number,
): Promise<{ body: unknown } | ChatSDKError> {
  const { runtime, apiUrl } = settings;
  const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)));
  const headers: Record<string, string> = { Accept: 'application/json' };
  const key = call.key ? settings.apiKey() : null;
  if (key !== null) headers['X-API-Key'] = key;
  if (call.body !== undefined) headers['Content-Type'] = 'application/json';
  // Outside of the try: what cannot be written as JSON is no failure of the network.
  const body = call.body === undefined ? null : encode(call.body());
  let reply: Response;
  let text: string;
  try {
    reply = await runtime.fetch(apiUrl + call.path, {
      method: call.method,
      headers,
      body,
      // A redirect would carry the API key to wherever it points.
      redirect: 'manual',
      signal: call.signal === undefined ? timeout : AbortSignal.any([timeout, call.signal]),
    });
    text = await whole(reply);
  } catch (cause) {
    call.signal?.throwIfAborted();
    return timeout.aborted
      ? new NetworkError('timeout', `Network error: ${apiUrl} did not answer in time.`, {
          retryable: true,
          cause,
        })
      : new NetworkError('network', `Network error: ${apiUrl} cannot be reached.`, {
          retryable: true,
          cause,
        });
  }
  const document = parse(text);
  if (reply.ok && isRecord(document)) return { body: document };
  return failure(apiUrl, reply, document);
}

/** The most that is read of a reply, in bytes: more than any of ChatSDK. */
const LONGEST_REPLY = 16 * 1024 * 1024;

/** The body as text. What answers without end, or with a few compressed bytes that stand for millions, fills no memory. */
async function whole(reply: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let size = 0;
  for await (const chunk of reply.body ?? []) {
    size += chunk.byteLength;
    if (size > LONGEST_REPLY) throw new Error('The reply has no end.');
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function encode(body: Readonly<Record<string, unknown>>): string {
  for (const [member, value] of Object.entries(body)) {
    // In JSON it would arrive as something else, or not at all.
    if (!isWritable(value, new Set())) {
      throw new InvalidInputError(
        member,
        `${member} cannot be written as JSON: it holds a BigInt, NaN, half a character, or itself.`,
      );
    }
  }
  return JSON.stringify(body);
}

/** How deep data may be nested: far deeper than ChatSDK takes them. */
const DEEPEST = 200;

function isWritable(value: unknown, around: Set<unknown>): boolean {
  if (typeof value === 'string') return isWhole(value);
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || value === null) return typeof value !== 'bigint';
  if (value instanceof BigInt || around.has(value) || around.size > DEEPEST) return false;
  around.add(value);
  // What it says of itself, as dates do, is what is sent.
  const { toJSON } = value as { toJSON?: unknown };
  const writable =
    typeof toJSON === 'function'
      ? isWritable(toJSON.call(value, ''), around)
      : Object.entries(value).every(([name, inner]) => isWhole(name) && isWritable(inner, around));
  around.delete(value);
  return writable;
}

/** Whether a text holds no half of a character (a lone surrogate). */
export function isWhole(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

function failure(apiUrl: string, reply: Response, body: unknown): ChatSDKError {
  const { status } = reply;
  const wait = Math.max(fromHeader(reply.headers.get('retry-after')), fromDocument(body));
  const common = {
    httpStatus: status,
    retryAfterMs: wait > 0 ? wait : null,
    // 408 is also what a request with a wrong clock gets, which is no better the second time.
    retryable: status >= 500 || status === 429 || status === 425 || status === 408,
  };
  const type = reply.headers.get('content-type') ?? '';
  if (/^application\/problem\+json\b/i.test(type) && isRecord(body) && typeof body.code === 'string') {
    const code = body.code as ErrorCode;
    return new ApiError(code, text(body.detail) ?? text(body.title) ?? code, {
      ...common,
      retryable: common.retryable && code !== 'request_stale',
      requestId: text(body.requestId),
      field: text(body.field),
      hint: text(body.hint),
      serverTime: typeof body.serverTime === 'number' ? body.serverTime : null,
    });
  }
  const target = reply.headers.get('location');
  const reason =
    status >= 300 && status < 400 && target !== null
      ? `it redirects to ${origin(target, apiUrl)}; set apiUrl to the final address`
      : `something else than ChatSDK answered, with status ${status}; check apiUrl and what stands in front of it`;
  return new NetworkError('foreign_answer', `Network error: ${apiUrl}: ${reason}.`, common);
}

/** Whether `value` is a JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    // The parser's own error quotes the text, which may hold tokens.
    return undefined;
  }
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function origin(target: string, base: string): string {
  return URL.canParse(target, base) ? new URL(target, base).origin : 'another address';
}

/** No answer may silence a caller for longer than this, in ms. */
const LONGEST_WAIT = 3_600_000;

function fromHeader(value: string | null): number {
  // The form that holds a date is not read: it would need this machine's clock to be right.
  return value !== null && /^\d{1,9}$/.test(value.trim()) ? Math.min(Number(value) * 1_000, LONGEST_WAIT) : 0;
}

function fromDocument(body: unknown): number {
  const wait = isRecord(body) ? body.retryAfterMs : 0;
  return typeof wait === 'number' && wait > 0 ? Math.min(wait, LONGEST_WAIT) : 0;
}
