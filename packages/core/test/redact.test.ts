/** What errors say of their causes. C38. */
import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { RequestError } from '../src/index.ts';

const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl';

it('copies name, message and stack of causes without secrets, however deep, and nothing else', () => {
  const inner = new TypeError(`bad ${TOKEN}`);
  inner.stack = `TypeError: bad ${TOKEN}\n    at parse`;
  const cause = new AggregateError([inner, `text ${TOKEN}`], 'all failed', { cause: inner });
  Object.assign(cause, { request: { headers: { authorization: `Bearer ${TOKEN}` } } });
  const error = new RequestError('network', `said ${TOKEN}`, { cause });
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('eyJ');
  expect(error.cause).toMatchObject({ name: 'AggregateError', message: 'all failed' });
  expect(error.cause).not.toHaveProperty('request');
  const { cause: deeper, errors } = error.cause as AggregateError;
  expect(deeper).toMatchObject({ name: 'TypeError', message: 'bad [redacted]' });
  expect((deeper as Error).stack).toContain('at parse');
  expect(errors[1]).toBe('text [redacted]');
});

it('passes no object on, and bears causes that go in a circle', () => {
  const response = { headers: { authorization: TOKEN } };
  expect(inspect(new RequestError('network', 'x', { cause: response }), { depth: 9 })).not.toContain('eyJ');
  const circle = new Error('round');
  circle.cause = circle;
  expect(new RequestError('network', 'x', { cause: circle }).cause).toMatchObject({ message: 'round' });
  expect(new RequestError('network', 'x', { cause: 7 }).cause).toBe(7);
});
