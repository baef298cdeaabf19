/** Figures as text. */
export const formatDb = (v: number): string => (v === Number.POSITIVE_INFINITY ? "exact" : `${v.toFixed(1)} dB`);
export const formatShare = (v: number): string => (v === 0 ? "0" : v < 0.0001 ? "<0.01 %" : `${(100 * v).toFixed(2)} %`);
export const formatSmall = (v: number): string => (v === 0 ? "0" : Math.abs(v) >= 0.001 && Math.abs(v) < 1e5 ? v.toPrecision(3) : v.toExponential(1));
export const formatCosine = (v: number): string => (v >= 0.99995 ? (1 - v === 0 ? "1" : "0.9999+") : v.toFixed(4));
export const formatRange = ([low, high]: readonly [number, number]): string => `${formatSmall(low)} … ${formatSmall(high)}`;
