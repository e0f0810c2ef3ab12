/** Apps that keep a copy of a session that the SDK has left behind. */
import { describe, expect, it } from 'vitest';
import type { Tokens } from '../src/index.ts';
import { HOUR, MINUTE, Scene } from './support/scene.ts';

describe('an app that brings back its copy of an older session', () => {
  /** The tokens of a session from before the one that is stored. */
  async function older(scene: Scene, over: boolean): Promise<Tokens> {
    const old = scene.server.mint();
    await scene.device.advance(MINUTE);
    const actor = scene.actor();
    await scene.start(actor);
    actor.manager.stop();
    if (over) Object.assign(scene.server.sessions.get(old.sid) ?? {}, { revoked: true });
    return old;
  }

  it('which is over: the session that was stored goes on', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor, await older(scene, true));
    await scene.device.advance(2 * HOUR);
    expect(actor.ends).toEqual([]);
    expect(actor.errors).toEqual([]);
    expect(actor.manager.debug()).toMatchObject({ sid: 'ses_2', state: 'valid' });
  });

  it('which is not over: its word stands', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor, await older(scene, false));
    await scene.device.advance(2 * HOUR);
    expect(actor.manager.debug()).toMatchObject({ sid: 'ses_1', state: 'valid' });
  });

  it('which is over, like the one that was stored: the end is told of once', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    const old = await older(scene, true);
    Object.assign(scene.server.sessions.get('ses_2') ?? {}, { revoked: true });
    await scene.start(actor, old);
    await scene.device.advance(2 * HOUR);
    expect(actor.ends).toEqual(['session_revoked']);
    expect(actor.errors).toHaveLength(1);
  });
});
