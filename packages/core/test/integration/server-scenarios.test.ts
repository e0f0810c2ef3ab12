/** The server scenarios that need no other clock than time itself, against the real server. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { Binary } from '../support/binary.ts';
import { themes } from '../support/scenarios/format.ts';
import { RealServer } from '../support/scenarios/real-server.ts';

let server: Binary;
beforeAll(async () => {
  server = await Binary.start('serve');
});
afterAll(async () => await server?.dispose());

for (const { theme, scenarios } of themes('server')) {
  describe(theme, () => {
    const real = scenarios.filter((scenario) => scenario.real);
    for (const [nth, scenario] of real.entries()) {
      it(scenario.name, async () => {
        const world = new RealServer(server, scenario, `scenario${nth}`);
        for (const step of scenario.steps) await world.take(step);
      });
    }
  });
}
