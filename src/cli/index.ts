/**
 * The command line. Each command is a module of `command, describe, builder, handler`; its work is imported inside the
 * handler, so that help and argument errors never load TensorFlow.
 */
import createYargs, { type Argv, type CommandModule } from 'yargs';
import { InputError } from '../errors.js';
import { VERSION } from '../version.js';
import { ignoreBrokenPipes, note, print, reserveStdout } from './output.js';
import { EXIT, reportError } from './run.js';
import { checkValues, type ParserOptions, unknownCommand, usageError } from './usage.js';

/** What a command's file exports. */
export type Command = CommandModule<any, any> & { command: string; describe: string };

/** Every command by its name; only the one asked for is imported (all of them for the overview of `--help`). */
const COMMANDS: Record<string, () => Promise<any>> = {
  doctor: () => import('./doctor.js'),
  data: () => import('./data.js'),
  plan: () => import('./plan.js'),
  train: () => import('./train.js'),
  finetune: () => import('./finetune.js'),
  sample: () => import('./sample.js'),
  eval: () => import('./eval.js'),
  convert: () => import('./convert.js'),
  verify: () => import('./verify.js'),
  bench: () => import('./bench.js'),
  report: () => import('./report.js'),
};

/** Options that every command has. */
const GLOBAL_OPTIONS = {
  quiet: { type: 'boolean', default: false, global: true, describe: 'No progress on stderr' },
  verbose: { type: 'boolean', default: false, global: true, describe: 'Show the stack of an error' },
} as const;

/**
 * Runs the command line and returns its exit code (see `EXIT`); never throws, never exits the process.
 * A handler that finishes with a result meaning failure sets `process.exitCode`.
 */
export async function main(argv: readonly string[] = process.argv.slice(2), commands = COMMANDS): Promise<number> {
  ignoreBrokenPipes();
  const beforeDashes = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
  const json = beforeDashes.includes('--json');
  const verbose = beforeDashes.includes('--verbose') || isSet(process.env.SHOW1_DEBUG);
  const release = json ? reserveStdout() : undefined;
  const exitCodeBefore = process.exitCode;
  process.exitCode = undefined;
  try {
    await parse([...argv], commands);
    return Number(process.exitCode ?? EXIT.done);
  } catch (error) {
    return reportError(error, { json, verbose });
  } finally {
    process.exitCode = exitCodeBefore;
    release?.();
  }
}

async function parse(argv: string[], commands: typeof COMMANDS): Promise<void> {
  const name = argv.find(argument => !argument.startsWith('-'));
  const wantsHelp = argv.some(argument => argument === '--help' || argument === '-h');
  const wantsVersion = argv.includes('--version') && name === undefined;
  if (wantsVersion) return print(VERSION);
  if (name !== undefined && !Object.hasOwn(commands, name)) throw unknownCommand(name, Object.keys(commands));

  const loaders = name === undefined ? Object.values(commands) : [commands[name]!];
  const modules = (await Promise.all(loaders.map(load => load()))) as Command[];
  const usage = name === undefined ? undefined : `show1 ${modules[0]!.command}`;
  let cli: Argv = createYargs()
    .scriptName('show1')
    .usage('$0 COMMAND: trains and runs Show-1 text-to-video diffusion')
    .locale('en')
    .parserConfiguration({ 'greedy-arrays': false, 'dot-notation': false })
    .options(GLOBAL_OPTIONS)
    .help()
    .alias('help', 'h')
    .version(VERSION)
    .strict()
    .exitProcess(false)
    .showHelpOnFail(false)
    .wrap(Math.min(110, process.stderr.columns ?? 110))
    .check((args, options) => checkValues(args, options as unknown as ParserOptions), true)
    .fail((message, error) => {
      if (error && error.name !== 'YError') throw error;
      throw usageError(message ?? error.message, cli, argv, usage);
    });
  for (const command of modules) cli = cli.command(command);

  if (name === undefined) {
    const help = await cli.getHelp();
    if (wantsHelp) return print(help);
    note(help);
    throw new InputError('no command given', { code: 'cli.no-command' });
  }
  await cli.parseAsync(argv);
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0';
}
