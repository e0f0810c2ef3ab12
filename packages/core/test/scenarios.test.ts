/** The scenarios of the token lifecycle (`tests/scenarios`) with the real core on a device of our making. */
import { describe, it } from 'vitest';
import { themes } from './support/scenarios/format.ts';
import { run } from './support/scenarios/world.ts';

for (const folder of ['client', 'server'] as const) {
  for (const { theme, scenarios } of themes(folder)) {
    describe(theme, () => {
      for (const scenario of scenarios) it(scenario.name, () => run(scenario));
    });
  }
}
