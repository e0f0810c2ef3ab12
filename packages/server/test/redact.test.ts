/** What is left of the errors of others. */
import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { NetworkError } from '../src/index.ts';

it('keeps names, codes and messages of causes, and nothing else', () => {
  const token = 'eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbm4ifQ.c2ln';
  const parser = Object.assign(new Error('Expected HTTP/'), {
    name: 'HTTPParserError',
    code: 'HPE_INVALID_CONSTANT',
    data: `{"accessToken":"${token}"}`,
  });
  const fetching = new TypeError(`fetch failed for ${token}`, { cause: parser });
  const error = new NetworkError('network', 'Network error.', { cause: fetching });
  const cause = error.cause as Error;
  expect(cause).toMatchObject({ name: 'TypeError', message: 'fetch failed for [redacted]' });
  expect(cause.cause).toMatchObject({ name: 'HTTPParserError', code: 'HPE_INVALID_CONSTANT' });
  expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('eyJ');
});

it('follows several causes, and no circle', () => {
  const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED', address: '::1' });
  const all = new AggregateError([refused, refused], 'all');
  const { cause } = new NetworkError('network', 'Network error.', { cause: all });
  expect(cause).toMatchObject({
    name: 'AggregateError',
    errors: [{ code: 'ECONNREFUSED' }, { code: 'ECONNREFUSED' }],
  });
  const circle = new Error('round');
  circle.cause = circle;
  expect(new NetworkError('network', 'Network error.', { cause: circle }).cause).toBeInstanceOf(Error);
  expect(new NetworkError('network', 'Network error.', { cause: { token: 'secret' } }).cause).toBe('object');
});
