/** Errors in the arguments themselves: what was typed, what was probably meant, what is allowed. */
import type { Argv } from 'yargs';
import { nearest } from '../config/nearest.js';
import { InputError } from '../errors.js';

export function unknownCommand(name: string, names: string[]): InputError {
  const near = nearest(name, names);
  const hint = near ? `did you mean '${near}'?` : `the commands are ${names.join(', ')}`;
  return new InputError(`unknown command '${name}'; ${hint} (show1 --help)`, {
    code: 'cli.unknown-command',
    name,
    suggestion: near,
  });
}

/** yargs' message for wrong arguments as an error of ours, with the nearest option or subcommand for unknown ones. */
export function usageError(message: string, cli: Argv, argv: string[], usage: string | undefined): InputError {
  const text = message.trim();
  const seeHelp = usage ? `; usage: ${usage} (--help for more)` : '';
  const unknown = /^Unknown (?:argument|command)s?: (.*)$/.exec(text)?.[1];
  if (unknown !== undefined) {
    const names = unknown.split(', ');
    const all = [...new Set(names.map(name => (argv.includes(name) ? name : `--${toDashes(name)}`)))];
    // After a word that is no subcommand, its own arguments are strangers too: the word is the mistake.
    const written = all[0]!.startsWith('--') ? all : all.slice(0, 1);
    return new InputError(written.map(name => unknownArgument(name, cli)).join('\n') + seeHelp, {
      code: 'cli.unknown-argument',
      names,
    });
  }
  const choice = /Argument: (\S+), Given: (.*), Choices: (.*)$/.exec(text);
  if (choice) {
    const [, name, given, choices] = choice;
    return new InputError(`--${toDashes(name!)} is ${given}; allowed: ${choices}`, { code: 'cli.invalid-value', name });
  }
  const missing = /^Not enough non-option arguments: got (\d+), need at least (\d+)/.exec(text);
  if (missing) {
    const count = Number(missing[2]) - Number(missing[1]);
    return new InputError(`${count === 1 ? 'an argument is' : `${count} arguments are`} missing${seeHelp}`, {
      code: 'cli.usage',
    });
  }
  return new InputError(text.charAt(0).toLowerCase() + text.slice(1) + seeHelp, { code: 'cli.usage' });
}

function unknownArgument(written: string, cli: Argv): string {
  const isOption = written.startsWith('--');
  const internals = cli as unknown as {
    getOptions(): ParserOptions;
    getInternalMethods(): { getCommandInstance(): { getCommands(): string[] } };
  };
  const known = isOption
    ? Object.keys(internals.getOptions().key).map(name => `--${toDashes(name)}`)
    : internals.getInternalMethods().getCommandInstance().getCommands();
  const near = nearest(written, known);
  return `unknown argument ${written}${near ? `; did you mean ${near}?` : ''}`;
}

function toDashes(name: string): string {
  return name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
}

/** The part of yargs' parser options used here. */
export interface ParserOptions {
  key: Record<string, boolean>;
  array: string[];
}

/** What yargs lets through: one value wanted but several given, and a number that is none. */
export function checkValues(args: Record<string, unknown>, options: ParserOptions): true {
  for (const [name, value] of Object.entries(args)) {
    if (name === '_' || !Object.hasOwn(options.key, name)) continue;
    if (Array.isArray(value) && !options.array.includes(name)) {
      throw new InputError(`--${toDashes(name)} is given ${value.length} times: ${value.join(', ')}; give it once`, {
        code: 'cli.repeated',
        name,
      });
    }
    const numbers: unknown[] = Array.isArray(value) ? value : [value];
    if (numbers.some(Number.isNaN)) {
      throw new InputError(`--${toDashes(name)} is not a number; allowed: a number, e.g. --${toDashes(name)} 5`, {
        code: 'cli.invalid-value',
        name,
      });
    }
  }
  return true;
}
