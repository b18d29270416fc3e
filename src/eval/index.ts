export { BENCHMARKS, type BenchmarkRequest, type BenchmarkResult, runBenchmark } from './benchmark/index.js';
export { evaluate, evaluateShard, type ShardSummary } from './evaluate.js';
export { frechetDistance } from './frechet.js';
export { inceptionScore } from './inception-score.js';
export { METRICS, type MetricName } from './metrics.js';
export { compareProtocols, type EvaluationResult, type Protocol } from './protocol.js';
export type { EvaluateRequest } from './request.js';
export { FeatureStatistics } from './statistics.js';
