/** C55: days with faults everywhere. Chance comes from a seed, so that a failure comes again. */
import { expect, it } from 'vitest';
import { reply } from './support/fake-platform.ts';
import { type Actor, HOUR, MINUTE, Scene } from './support/scene.ts';

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

it.each([1, 2, 3, 4])(
  'nobody is signed out in three days of faults, seed %d',
  { timeout: 180_000 },
  async (seed) => {
    const scene = new Scene();
    const chance = seeded(seed);
    let down = false;
    scene.server.intercept = (seen) => {
      if (down || chance() < 0.05) throw new TypeError('Failed to fetch');
      if (chance() < 0.05) return reply(502, '<html>bad gateway</html>', { 'content-type': 'text/html' });
      // The server does its part, and the reply is lost.
      if (chance() < 0.1) {
        scene.server.answer(seen);
        throw new TypeError('Failed to fetch');
      }
      return undefined;
    };
    const minted = scene.server.mint();
    const actors: Actor[] = [];
    const join = async (): Promise<void> => {
      const actor = scene.actor();
      await scene.start(actor, minted);
      actors.push(actor);
    };
    await join();
    await join();
    const ends: string[] = [];
    for (let step = 0; step < 3 * 24 * 4; step += 1) {
      for (const actor of actors) actor.tab.random = chance();
      await scene.device.advance(15 * MINUTE);
      const event = chance();
      if (event < 0.05) scene.device.sleep(chance() * 8 * HOUR);
      else if (event < 0.1) down = !down;
      else if (event < 0.15) {
        // A tab is killed, whatever it is doing, and another one is opened.
        actors.shift()?.manager.stop();
        await join();
      }
      for (const actor of actors) {
        if (event < 0.05) actor.tab.resume();
        ends.push(...actor.ends);
      }
    }
    expect(ends).toEqual([]);
    down = false;
    scene.server.intercept = () => undefined;
    scene.device.goOnline(true);
    await scene.device.advance(10 * MINUTE);
    for (const actor of actors) expect(actor.manager.state).toBe('valid');
    expect(scene.device.timers.size).toBeLessThanOrEqual(2);
  },
);

it('asks once a cycle in a day without faults', async () => {
  const scene = new Scene();
  await scene.start(scene.actor());
  await scene.device.advance(24 * HOUR);
  const ideal = (24 * HOUR) / (55 * MINUTE + 15_000);
  expect(Math.abs(scene.server.refreshes.length - ideal)).toBeLessThanOrEqual(ideal * 0.05);
});
