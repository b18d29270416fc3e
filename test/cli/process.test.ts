import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const node = (script: string): [string, string[]] => [
  process.execPath,
  ['--import', 'tsx', '--input-type=module', '-e', script],
];

describe('the command line as a process', () => {
  it('shows help and wrong arguments without loading TensorFlow', () => {
    const script = `
      import { createRequire } from 'node:module';
      const { main } = await import('./src/cli/index.ts');
      const help = await main(['--help']);
      const wrong = [await main(['train', '--no-such-option']), await main(['sample', '--no-such-option'])];
      const loaded = Object.keys(createRequire(import.meta.url).cache).filter(file => file.includes('tfjs'));
      console.error('RESULT ' + JSON.stringify({ help, wrong, loaded }));
    `;
    const { stdout, stderr } = spawnSync(...node(script), { cwd: root, encoding: 'utf8' });
    const result = JSON.parse(/RESULT (.*)/.exec(stderr)?.[1] ?? stderr);
    expect(result).toEqual({ help: 0, wrong: [2, 2], loaded: [] });
    for (const name of ['doctor', 'data', 'plan', 'train', 'sample', 'convert', 'verify', 'bench', 'report']) {
      expect(stdout).toContain(`show1 ${name}`);
    }
  });
  it('goes on when the reader of its output has gone', async () => {
    const script = `
      const { main } = await import('./src/cli/index.ts');
      const handler = async () => {
        for (let i = 0; i < 200; i++) {
          console.log('x'.repeat(10000));
          await new Promise(resolve => setTimeout(resolve, 1));
        }
        console.error('worked to the end');
      };
      process.exitCode = await main(['go'], { go: async () => ({ command: 'go', describe: 'x', handler }) });
    `;
    const child = spawn(...node(script), { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', chunk => {
      stderr += chunk;
    });
    child.stdout.once('data', () => child.stdout.destroy());
    const code = await new Promise(resolve => child.on('close', resolve));
    expect(stderr).toBe('worked to the end\n');
    expect(code).toBe(0);
  });
});
