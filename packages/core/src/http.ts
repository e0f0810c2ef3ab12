/** One request, bounded in time, and what came of it. Never throws for what the network does. */
import type { HttpReply, Platform } from './platform/platform.ts';
import { LONGEST_PAUSE } from './tokens/schedule.ts';
import { isRecord, numberOf, parseJson, textOf } from './values.ts';
import { within } from './within.ts';

/** Every request is given up after this long, in ms, those that a host makes for us too. */
export const REQUEST_TIMEOUT = 10_000;

interface Timed {
  /** The device's wall clock when the request left. */
  readonly sentWall: number;
  /** How long the answer took, in ms: the longer of what the two clocks say, so that sleep counts. */
  readonly tookMs: number;
}

/** What came of a request. */
export type Answer = Timed & Outcome;

type Outcome =
  | { readonly kind: 'ok'; readonly status: number; readonly body: unknown }
  /** A problem document of our server. */
  | {
      readonly kind: 'problem';
      readonly status: number;
      readonly code: string;
      readonly body: Record<string, unknown>;
      readonly requestId: string | null;
      readonly retryAfterMs: number;
    }
  /** Something else answered, or our server behind something that fails: a proxy, a captive portal. */
  | { readonly kind: 'foreign'; readonly status: number; readonly retryAfterMs: number }
  /** Nothing answered. */
  | { readonly kind: 'failed'; readonly cause: unknown };

/** Whether the same request may be answered otherwise later. */
export function mayPass(status: number): boolean {
  return status >= 500 || status === 408 || status === 429;
}

/** What a request carries beside its address. */
export interface RequestParts {
  /** Sent as JSON; absent where there is none. */
  readonly body?: unknown;
  /** The header of this name. */
  readonly authorization?: string | undefined;
  /** Gives the request up early. */
  readonly signal?: AbortSignal | undefined;
  /** Whether it is to outlive the page. */
  readonly keepalive?: boolean;
}

/** Sends a request, without cookies and past caches. */
export async function send(
  platform: Platform,
  method: string,
  url: string,
  { body, authorization, signal, keepalive = false }: RequestParts,
): Promise<Answer> {
  const { clock, timers } = platform;
  const sentWall = clock.wall();
  const sentMono = clock.mono();
  let outcome: Outcome;
  try {
    outcome = await within(
      timers,
      REQUEST_TIMEOUT,
      async (signal) => {
        const json = JSON.stringify(body) as string | undefined;
        const reply = await platform.fetch(url, {
          method,
          headers: {
            Accept: 'application/json',
            ...(json && { 'Content-Type': 'application/json' }),
            ...(authorization && { Authorization: authorization }),
          },
          ...(json && { body: json }),
          signal,
          credentials: 'omit',
          cache: 'no-store',
          keepalive,
        });
        return read(reply, await reply.text());
      },
      signal,
    );
  } catch (cause) {
    outcome = { kind: 'failed', cause };
  }
  return { ...outcome, sentWall, tookMs: Math.max(0, clock.wall() - sentWall, clock.mono() - sentMono) };
}

function read({ status, headers }: HttpReply, text: string): Outcome {
  const body = status === 204 ? null : parseJson(text);
  if (status >= 200 && status < 300 && body !== undefined) return { kind: 'ok', status, body };
  const retryAfterMs = waitAskedFor(headers.get('retry-after') ?? '', body);
  const type = headers.get('content-type') ?? '';
  if (/^application\/problem\+json/i.test(type) && isRecord(body) && typeof body.code === 'string') {
    const { code } = body;
    return { kind: 'problem', status, code, body, requestId: textOf(body.requestId) ?? null, retryAfterMs };
  }
  return { kind: 'foreign', status, retryAfterMs };
}

/** For how long the header and the document ask not to be tried again, in ms. */
function waitAskedFor(header: string, document: unknown): number {
  // The form that holds a date is not read: it would need the device's clock to be right.
  const seconds = /^\s*\d{1,9}\s*$/.test(header) ? Number(header) : 0;
  const wait = numberOf(isRecord(document) ? document.retryAfterMs : 0) ?? 0;
  // No server may silence a client for longer.
  return Math.min(Math.max(seconds * 1_000, wait), LONGEST_PAUSE);
}
