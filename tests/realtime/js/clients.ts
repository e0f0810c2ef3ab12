/** The stock client over each of its transports, in each encoding that the transport has. */
import { Centrifuge, type Options } from 'centrifuge';
import { Centrifuge as ProtobufCentrifuge } from 'centrifuge/build/protobuf';
import WebSocket from 'ws';
import { FetchEventSource } from './event-source.ts';

export type Way = 'websocket' | 'websocket protobuf' | 'http_stream' | 'http_stream protobuf' | 'sse';

export const WAYS: readonly Way[] = [
  'websocket',
  'websocket protobuf',
  'http_stream',
  'http_stream protobuf',
  'sse',
];

/** Compresses what it sends, however short it is, wherever the server accepts its offer. */
class Compressing extends WebSocket {
  constructor(address: string, protocols?: string | string[]) {
    super(address, protocols, { perMessageDeflate: { threshold: 0 } });
    this.once('open', () => agreed.push(this.extensions));
  }
}

/** What each WebSocket has agreed on with its server. */
export const agreed: string[] = [];

/** A client of the server, or of a relay before it. */
export function client(server: { address: string }, way: Way, options: Partial<Options> = {}): Centrifuge {
  const [transport, encoding] = way.split(' ') as ['websocket' | 'http_stream' | 'sse', string?];
  const Client = encoding === 'protobuf' ? (ProtobufCentrifuge as unknown as typeof Centrifuge) : Centrifuge;
  const scheme = transport === 'websocket' ? 'ws' : 'http';
  const endpoint = `${scheme}://${server.address}/connection/${transport}`;
  return new Client([{ transport, endpoint }], {
    websocket: Compressing,
    eventsource: FetchEventSource,
    fetch,
    readableStream: ReadableStream,
    emulationEndpoint: `http://${server.address}/emulation`,
    minReconnectDelay: 10,
    ...options,
  });
}

const protobuf = (way: Way): boolean => way.endsWith('protobuf');

/** `value` as the client of `way` takes payloads: JSON values, or the bytes of their text. */
export function said(way: Way, value: unknown): unknown {
  return protobuf(way) ? new TextEncoder().encode(JSON.stringify(value)) : value;
}

/** The value in a payload. */
export function heard(way: Way, data: unknown): unknown {
  return protobuf(way) ? JSON.parse(new TextDecoder().decode(data as Uint8Array)) : data;
}
