export { RunLogger, type RunLoggerOptions, STATS_FILE } from './run-logger.js';
export { readStats, type StatsLine, StatsWriter, truncateStats } from './stats.js';
export { statusLine, type Tick, Ticker, type TickerOptions, type TickInput } from './status.js';
export { EventWriter, type EventWriterOptions } from './tensorboard.js';
