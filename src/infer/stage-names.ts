/** The stages of Show-1's cascade, in order. */
export const STAGES = ['base', 'interp', 'sr1', 'sr2'] as const;
export type StageName = (typeof STAGES)[number];
