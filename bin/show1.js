#!/usr/bin/env node
// The `show1` command. From a checkout it runs the TypeScript sources directly, from a published package the built ones.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const args = process.argv.slice(2);

/** Commands that need no TensorFlow, or (doctor) must report on it instead of repairing it. */
const WITHOUT_SETUP = new Set(['doctor', 'help', 'report']);

function needsTensorflow() {
  const command = args.find(argument => !argument.startsWith('-'));
  const isHelp = args.some(argument => ['--help', '-h', '--version'].includes(argument));
  return command !== undefined && !WITHOUT_SETUP.has(command) && !isHelp && !command.includes('completion');
}

async function main() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20) {
    console.error(
      `show1 needs Node 20 or newer; this is ${process.version}\n  fix: install it from your package manager or nvm`,
    );
    return 1;
  }
  if (needsTensorflow()) {
    const [{ ensureSetup }, { describeError }] = await Promise.all([
      import('../native/setup.mjs'),
      import('../native/errors.mjs'),
    ]);
    try {
      await ensureSetup();
    } catch (error) {
      console.error(describeError(error));
      const { code = 'setup.failed', message = String(error) } = /** @type {Partial<NodeJS.ErrnoException>} */ (error);
      if (args.includes('--json')) console.log(JSON.stringify({ error: { code, message } }));
      return 1;
    }
  }
  const source = new URL('../src/cli/index.ts', import.meta.url);
  const built = new URL('../dist/src/cli/index.js', import.meta.url);
  if (!existsSync(fileURLToPath(source))) return (await import(built.href)).main(args);
  const { register } = await import('tsx/esm/api').catch(() => {
    console.error('show1: npm packages are missing\n  fix: npm ci');
    return { register: undefined };
  });
  if (!register) return 1;
  register();
  return (await import(source.href)).main(args);
}

process.exitCode = await main();
