/** Options that several commands share. */
import type { Argv } from 'yargs';
import type { ConfigInput, LoadedConfig } from '../config/index.js';

/** What a handler gets from the options that a builder function adds. */
export type ArgsOf<B extends (yargs: Argv) => Argv<any>> =
  ReturnType<B> extends Argv<infer T> ? T & { quiet?: boolean } : never;

/** `--json`: one JSON document on stdout. */
export function withJson<T>(yargs: Argv<T>) {
  return yargs.option('json', { type: 'boolean', default: false, describe: 'Print one JSON document on stdout' });
}

/** A positional CONFIG and `--set`. */
export function withConfig<T>(yargs: Argv<T>) {
  return yargs
    .positional('config', {
      type: 'string',
      demandOption: true,
      describe: 'A YAML config, e.g. configs/tiny/base.yaml',
    })
    .option('set', {
      type: 'string',
      array: true,
      requiresArg: true,
      default: [] as string[],
      describe: 'Set one config key, e.g. --set train.steps=100; may be repeated',
    });
}

/** The config that `withConfig` names, with its `--set` applied. @throws InputError code `config.*` */
export async function configFrom(
  args: { config: string; set: string[] },
  overrides?: ConfigInput,
): Promise<LoadedConfig> {
  const { loadConfig } = await import('../config/index.js'); // not at the top: help needs no schema
  return loadConfig(args.config, { set: args.set, overrides });
}
