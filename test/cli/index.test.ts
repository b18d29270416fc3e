import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { Argv } from 'yargs';
import type { Command } from '../../src/cli/index.js';
import { withConfig, withJson } from '../../src/cli/options.js';
import { printJson } from '../../src/cli/output.js';
import { InputError, InterruptedError, WorkError } from '../../src/errors.js';
import { capture } from './capture.js';

const calls: Record<string, unknown>[] = [];
let work: () => void = () => {};

const train: Partial<Command> = {
  command: 'train <config>',
  describe: 'Train a stage',
  builder: (yargs: Argv) =>
    withJson(withConfig(yargs))
      .option('seed', { type: 'number' })
      .option('mode', { choices: ['motion', 'style'] as const })
      .option('guidance-scale', { type: 'number' }),
  handler: args => {
    calls.push(args);
    work();
  },
};
const data: Partial<Command> = {
  command: 'data',
  describe: 'Work on clips',
  builder: (yargs: Argv) =>
    yargs
      .command({
        command: 'shapes <out>',
        describe: 'Make clips',
        builder: inner => inner.option('clips', { type: 'number' }),
        handler: args => void calls.push(args),
      })
      .command({ command: 'prepare <config>', describe: 'Prepare', handler: args => void calls.push(args) })
      .demandCommand(1),
  handler: () => {},
};
const commands = { train: async () => train, data: async () => data };
const run = (...argv: string[]) => capture(argv, commands);

afterEach(() => {
  calls.length = 0;
  work = () => {};
  delete process.env.SHOW1_DEBUG;
});

describe('arguments', () => {
  it('reach the handler, --set one value at a time', async () => {
    const { code, stdout, stderr } = await run(
      'train',
      '--set',
      'a.b=1',
      'c.yaml',
      '--set',
      'c=[1, 2]',
      '--seed',
      '3',
      '--guidance-scale=2',
    );
    expect([code, stdout, stderr]).toEqual([0, '', '']);
    expect(calls).toMatchObject([
      { config: 'c.yaml', set: ['a.b=1', 'c=[1, 2]'], seed: 3, guidanceScale: 2, quiet: false },
    ]);
  });
  it('reach a subcommand', async () => {
    expect((await run('data', 'shapes', 'out', '--clips', '4')).code).toBe(0);
    expect(calls).toMatchObject([{ out: 'out', clips: 4 }]);
  });
  it.each([
    [['trian', 'c.yaml'], "error: unknown command 'trian'; did you mean 'train'? (show1 --help)"],
    [['zzzzz'], "error: unknown command 'zzzzz'; the commands are train, data (show1 --help)"],
    [['constructor'], "unknown command 'constructor'"],
    [
      ['train', 'c.yaml', '--sede', '3'],
      'error: unknown argument --sede; did you mean --seed?; usage: show1 train <config>',
    ],
    [['train', 'c.yaml', '--guidence-scale', '3'], 'unknown argument --guidence-scale; did you mean --guidance-scale?'],
    [['train', 'c.yaml', '--zzzzzz'], 'error: unknown argument --zzzzzz; usage:'],
    [['train', 'c.yaml', 'stray'], 'error: unknown argument stray; usage: show1 train <config>'],
    [['train'], 'error: an argument is missing; usage: show1 train <config>'],
    [['train', 'c.yaml', '--seed', '1', '--seed', '2'], 'error: --seed is given 2 times: 1, 2; give it once'],
    [['train', 'c.yaml', '--seed', 'abc'], 'error: --seed is not a number; allowed: a number'],
    [['train', 'c.yaml', '--set'], 'error: not enough arguments following: set'],
    [['train', 'c.yaml', '--mode', 'dance'], 'error: --mode is "dance"; allowed: "motion", "style"'],
    [['data', 'shape', 'out'], 'error: unknown argument shape; did you mean shapes?; usage: show1 data'],
    [['data', 'shapes', 'out', '--clip', '3'], 'unknown argument --clip; did you mean --clips?'],
  ])('%j is wrong input', async (argv, message) => {
    const { code, stdout, stderr } = await run(...argv);
    expect(stderr).toContain(message);
    expect([code, stdout, calls]).toEqual([2, '', []]);
  });
  it('no command shows the help on stderr', async () => {
    const { code, stdout, stderr } = await run();
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Train a stage');
    expect(stderr).toContain('error: no command given');
  });
});

describe('help and version', () => {
  it('lists the commands on stdout', async () => {
    const { code, stdout } = await run('--help');
    expect(code).toBe(0);
    expect(stdout).toMatch(/show1 train <config>\s+Train a stage/);
    expect(stdout).toMatch(/show1 data\s+Work on clips/);
  });
  it('explains a command without running it or importing the others', async () => {
    const others = { ...commands, data: () => Promise.reject(new Error('imported')) };
    const { code, stdout } = await capture(['train', '--help'], others);
    expect(code).toBe(0);
    expect(stdout).toContain('--guidance-scale');
    expect(stdout).toContain('--quiet');
    expect(calls).toEqual([]);
  });
  it('prints the version of package.json', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await run('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });
});

describe('exit codes and messages', () => {
  const fail = (error: unknown) => {
    work = () => {
      throw error;
    };
    return run('train', 'c.yaml');
  };
  it('2 wrong input, 1 failed work: the message alone', async () => {
    expect(await fail(new InputError('no such clip', { code: 'x' }))).toEqual({
      code: 2,
      stdout: '',
      stderr: 'error: no such clip\n',
    });
    expect(await fail(new WorkError('loss is NaN', { code: 'x' }))).toEqual({
      code: 1,
      stdout: '',
      stderr: 'error: loss is NaN\n',
    });
  });
  it('130 interrupted, which is no error', async () => {
    expect(await fail(new InterruptedError('saved at step 5', { code: 'x' }))).toEqual({
      code: 130,
      stdout: '',
      stderr: 'saved at step 5\n',
    });
  });
  it('1 for a defect, with the way to its stack', async () => {
    const { code, stderr } = await fail(new TypeError('x is not a function'));
    expect(code).toBe(1);
    expect(stderr).toBe('unexpected error: x is not a function\nAdd --verbose (or SHOW1_DEBUG=1) for the stack.\n');
    expect((await fail('just text')).stderr).toContain('unexpected error: just text');
  });
  it('shows stack and cause with --verbose or SHOW1_DEBUG', async () => {
    work = () => {
      throw new WorkError('outer', { code: 'x' }, new Error('inner'));
    };
    const { stderr } = await run('train', 'c.yaml', '--verbose');
    expect(stderr).toContain('index.test.ts');
    expect(stderr).toContain('caused by: Error: inner');
    process.env.SHOW1_DEBUG = '1';
    expect((await run('train', 'c.yaml')).stderr).toContain('index.test.ts');
    process.env.SHOW1_DEBUG = '0';
    expect((await run('train', 'c.yaml')).stderr).toBe('error: outer\n');
  });
  it('takes a failing result from process.exitCode, and does not keep it', async () => {
    work = () => {
      process.exitCode = 1;
    };
    expect((await run('train', 'c.yaml')).code).toBe(1);
    work = () => {};
    expect((await run('train', 'c.yaml')).code).toBe(0);
    expect(process.exitCode ?? 0).toBe(0);
  });
});

describe('--json', () => {
  const json = () => run('train', 'c.yaml', '--json');
  it('prints one document on stdout and everything else on stderr', async () => {
    work = () => {
      console.log('greeting of a library');
      process.stdout.write('noise\n');
      printJson({ loss: Number.NaN, ok: true });
    };
    const { code, stdout, stderr } = await json();
    expect(JSON.parse(stdout)).toEqual({ loss: null, ok: true });
    expect(stderr).toBe('greeting of a library\nnoise\n');
    expect(code).toBe(0);
    expect((await run('train', 'c.yaml')).stdout).toContain('greeting');
  });
  it('prints errors as a document too, and as a message on stderr', async () => {
    work = () => {
      throw new InputError('no such clip', { code: 'data.missing' });
    };
    const { code, stdout, stderr } = await json();
    expect(JSON.parse(stdout)).toEqual({ error: { code: 'data.missing', message: 'no such clip' } });
    expect([code, stderr]).toEqual([2, 'error: no such clip\n']);
    expect(JSON.parse((await run('trian', '--json')).stdout).error.code).toBe('cli.unknown-command');
    expect(JSON.parse((await run('train', 'c.yaml', '--sed', '1', '--json')).stdout).error.code).toBe(
      'cli.unknown-argument',
    );
  });
  it('prints no second document when the command has printed its result before failing', async () => {
    work = () => {
      printJson({ fixtures: [] });
      throw new WorkError('2 fixtures miss', { code: 'verify.miss' });
    };
    const { code, stdout, stderr } = await json();
    expect(JSON.parse(stdout)).toEqual({ fixtures: [] });
    expect([code, stderr]).toEqual([1, 'error: 2 fixtures miss\n']);
  });
  it('a second document is a defect', async () => {
    work = () => {
      printJson(1);
      printJson(2);
    };
    const { code, stdout } = await json();
    expect([code, stdout]).toEqual([1, '1\n']);
  });
});
