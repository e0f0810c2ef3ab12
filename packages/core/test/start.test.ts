/** What may come in between while a session begins. */
import { expect, it } from 'vitest';
import { Tab } from './support/fake-platform.ts';
import { MINUTE, Scene } from './support/scene.ts';

it('a logout in another tab is heard while the host is still told of the stored pair', async () => {
  const scene = new Scene();
  const given = scene.server.mint();
  const other = scene.actor();
  await scene.start(other, given);
  await scene.device.advance(56 * MINUTE);
  let asked = 0;
  const actor = scene.actor({
    onTokenRefresh: () => {
      asked += 1;
      return new Promise(() => {});
    },
  });
  const started = actor.manager.start(given);
  await scene.device.settle();
  expect(asked).toBe(1);
  const done = other.manager.logout();
  await scene.device.settle();
  await done;
  expect(actor.ends).toEqual(['logged_out']);
  await scene.device.advance(MINUTE);
  await started;
  expect(actor.manager.state).toBe('ended');
  expect(actor.manager.tokens).toBeNull();
});

it('whoever starts anew when told that another start begins has the last word', async () => {
  const scene = new Scene();
  const given = scene.server.mint();
  const actor = scene.actor();
  await scene.start(actor, given);
  Object.assign(scene.server.sessions.get(given.sid) ?? {}, { revoked: true });
  await scene.device.advance(56 * MINUTE);
  expect(actor.manager.state).toBe('ended');
  const [first, last] = [scene.server.mint(), scene.server.mint()];
  const inner: Promise<void>[] = [];
  actor.manager.on('state', (state) => {
    if (state === 'unauthenticated') inner.push(actor.manager.start(last));
  });
  await scene.start(actor, first);
  await Promise.all(inner);
  await scene.device.settle();
  expect(inner).toHaveLength(1);
  expect(actor.manager.tokens?.accessToken).toBe(last.accessToken);
});

it('a platform of the app that throws fails it, and leaves no listener behind', async () => {
  const scene = new Scene();
  const { platform } = new Tab(scene.device);
  const onResume = (): never => {
    throw new Error('not here');
  };
  const actor = scene.actor({ platform: { ...platform, lifecycle: { ...platform.lifecycle, onResume } } });
  await expect(actor.manager.start(scene.server.mint())).rejects.toThrow('not here');
  expect(scene.device.networkListeners.size).toBe(0);
  expect(scene.device.timers.size).toBe(0);
  for (const members of scene.device.channels.values()) expect(members.size).toBe(0);
});

const answers: [string, () => boolean, number][] = [
  ['says nothing', () => undefined as unknown as boolean, 1],
  ['says that it is', () => true, 1],
  ['says that it is not', () => false, 0],
];
it.each(answers)('a token in the background whose inUse %s', async (_name, inUse, refreshes) => {
  const scene = new Scene();
  const actor = scene.actor({ inUse }, (tab) => {
    tab.visible = false;
  });
  await scene.start(actor);
  await scene.device.advance(58 * MINUTE);
  expect(scene.server.refreshes).toHaveLength(refreshes);
});

it('whoever stops when told of the pair leaves no timer behind', async () => {
  const scene = new Scene();
  for (const event of ['tokens', 'state'] as const) {
    const actor = scene.actor();
    actor.manager.on(event, () => actor.manager.stop());
    await scene.start(actor);
    expect(actor.manager.tokens).toBeNull();
    expect(scene.device.timers.size).toBe(0);
  }
});
