/** Compares what a scenario expects with what is. */
import type { Client } from './client.ts';
import { count, duration, type Json, type JsonObject, list, object, range, text } from './format.ts';
import type { World } from './world.ts';

/** What does not hold, one line each. */
export function differences(world: World, expected: JsonObject): string[] {
  const found: string[] = [];
  const same = (what: string, wanted: Json | undefined, actual: unknown): void => {
    if (wanted === undefined || JSON.stringify(wanted) === JSON.stringify(actual)) return;
    found.push(`${what}: expected ${JSON.stringify(wanted)}, got ${JSON.stringify(actual)}`);
  };
  const within = (what: string, wanted: Json | undefined, actual: number | null, read = count): void => {
    if (wanted === undefined) return;
    const [least, most] = range(wanted, read);
    if (actual !== null && actual >= least && actual <= most) return;
    found.push(`${what}: expected ${JSON.stringify(wanted)}, got ${actual}${read === duration ? ' ms' : ''}`);
  };
  const byName = (value: Json | undefined): [string, Json][] => Object.entries(object(value ?? {}));

  object(expected, [
    'refreshes',
    'revokes',
    'hostCalls',
    'requests',
    'sessions',
    'stored',
    'outbox',
    'tokens',
    'clients',
  ]);
  const { requests } = world.link;
  const number = (kind: string): number => requests.filter((one) => one.kind === kind).length;
  within('refreshes', expected.refreshes, number('refresh'));
  within('revokes', expected.revokes, number('revoke'));
  within('hostCalls', expected.hostCalls, number('host'));
  if (expected.requests !== undefined) {
    const wanted = list(expected.requests);
    const refreshes = requests.filter((one) => one.kind === 'refresh');
    same('requests.length', wanted.length, refreshes.length);
    for (const [index, one] of wanted.entries()) {
      const { presented, at, sentAt } = object(one, ['presented', 'at', 'sentAt']);
      const actual = refreshes[index];
      if (actual === undefined) break;
      same(`requests.${index}.presented`, presented, actual.presented);
      within(`requests.${index}.at`, at, actual.at, duration);
      within(`requests.${index}.sentAt`, sentAt, actual.sentAt, duration);
    }
  }
  for (const [name, state] of byName(expected.sessions))
    same(`sessions.${name}`, state, world.sessionState(name));
  for (const [name, pair] of byName(expected.stored)) same(`stored.${name}`, pair, world.stored(name));
  for (const [name, pairs] of byName(expected.outbox)) same(`outbox.${name}`, pairs, world.outbox(name));
  for (const [name, token] of byName(expected.tokens)) same(`tokens.${name}`, token, world.tokens.get(name));
  for (const [name, wanted] of byName(expected.clients))
    aboutClient(name, world.client(name), object(wanted));

  function aboutClient(name: string, { manager, log, connectError }: Client, wanted: JsonObject): void {
    object(wanted, ['state', 'token', 'told', 'errors', 'ends', 'storageErrors', 'connect', 'user']);
    const { tokens } = manager;
    same(`${name}.state`, wanted.state, manager.state);
    same(
      `${name}.token`,
      wanted.token,
      tokens === null ? null : world.names.ofAccessToken(tokens.accessToken),
    );
    same(`${name}.user`, wanted.user, manager.user?.id ?? null);
    same(`${name}.connect`, wanted.connect, connectError);
    same(`${name}.ends`, wanted.ends, log.ends);
    within(`${name}.storageErrors`, wanted.storageErrors, log.storageErrors);
    const told = log.told.map((pair) => world.names.ofAccessToken(pair.accessToken));
    const named = Array.isArray(wanted.told) && wanted.told.every((one) => typeof one === 'string');
    if (named) same(`${name}.told`, wanted.told, told);
    else within(`${name}.told`, wanted.told, told.length);
    if (wanted.errors !== undefined) {
      const errors = list(wanted.errors);
      same(`${name}.errors.length`, errors.length, log.errors.length);
      for (const [index, one] of errors.entries()) {
        const { kind, code, status, message, not } = object(one, [
          'kind',
          'code',
          'status',
          'message',
          'not',
        ]);
        const error = log.errors[index];
        if (error === undefined) break;
        const at = `${name}.errors.${index}`;
        same(`${at}.kind`, kind, error.kind);
        same(`${at}.code`, code, error.code);
        same(`${at}.status`, status, error.status);
        if (message !== undefined)
          same(`${at}.message`, message, error.message.slice(0, text(message).length));
        if (not !== undefined && error.message.includes(text(not)))
          found.push(`${at}.message: ${error.message}`);
      }
    }
  }
  return found;
}
