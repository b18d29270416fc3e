/** Errors that carry a stable code and the data behind the message, so that callers can act and the CLI can pick its exit code. */
export interface ErrorData {
  /** Stable identifier, e.g. `config.unknown-key`. */
  code: string;
  [key: string]: unknown;
}

/** Base of every error this project raises on purpose. */
export class Show1Error extends Error {
  readonly code: string;
  readonly data: Record<string, unknown>;
  /** Exit code of the command line: 1 the work failed, 2 the input was wrong, 130 interrupted. */
  readonly exitCode: number = 1;

  constructor(message: string, { code, ...data }: ErrorData, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.data = data;
  }
}

/** The input was wrong: a config key, an argument, a file. The message says which value, where it is from and what is allowed. */
export class InputError extends Show1Error {
  override readonly exitCode = 2;
}

/** The input was fine but the work failed: out of memory, a NaN loss, a failing external program. */
export class WorkError extends Show1Error {
  override readonly exitCode = 1;
}

/** Stopped on request, with the state saved. */
export class InterruptedError extends Show1Error {
  override readonly exitCode = 130;
}
