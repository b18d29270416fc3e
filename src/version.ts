import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

/** Version of this package, from its package.json (two levels deeper when run from dist/). */
export const VERSION: string = (() => {
  const require = createRequire(import.meta.url);
  const near = new URL('../package.json', import.meta.url);
  return (require(existsSync(near) ? '../package.json' : '../../package.json') as { version: string }).version;
})();
