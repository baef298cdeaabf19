/** Seeded randomness. The same seed and stream give the same numbers on every machine. */

/**
 * A uniform generator on [0, 1) for one stream of a seed: splitmix32 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators",
 * 32-bit variant with the murmur3 finalizer).
 */
export function randomFrom(seed: number, stream = 0): () => number {
  const mix = (x: number): number => {
    let h = x | 0;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return (h ^ (h >>> 16)) >>> 0;
  };
  let state = (mix(seed) ^ mix(mix(stream) + 0x9e3779b9)) >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    return mix(state) / 2 ** 32;
  };
}

/** A number for a name, to derive one stream per layer: FNV-1a, 32 bits. */
export function streamOf(name: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/** Standard normal by Box and Muller (1958), from a uniform generator on [0, 1). */
export const normalFrom = (random: () => number): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
