/** The scenarios of the token lifecycle (`tests/scenarios`) with the real core on a device of our making. */
import { describe, it } from 'vitest';
import { themes } from './support/scenarios/format.ts';
import { run } from './support/scenarios/world.ts';

for (const folder of ['client', 'server'] as const) {
  describe.each(themes(folder))(`${folder}: $theme`, ({ scenarios }) => {
    it.each(scenarios)('$name', async (scenario) => {
      await run(scenario);
    });
  });
}
