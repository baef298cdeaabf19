/** Lexical rules that the printer, the parser and messages share. */

/** Names that stand bare after `%` and `@`; all others are quoted as JSON strings. `//` would start a comment. */
export const isBareName = (name: string): boolean => /^[A-Za-z0-9_.$/-]+$/.test(name) && !name.includes("//");

/** Words: keywords, op kinds, symbolic dimensions, keys. */
export const isWord = (text: string): boolean => /^[A-Za-z_][A-Za-z0-9_.-]*$/.test(text);

export const quote = (text: string): string => JSON.stringify(text);
export const nameText = (name: string): string => (isBareName(name) ? name : quote(name));
export const wordText = (text: string): string => (isWord(text) ? text : quote(text));

/** Shortest decimal that reads back as the same double; `nan`, `inf`, `-inf` and `-0` are kept apart. */
export function formatNumber(v: number): string {
  if (Number.isNaN(v)) return "nan";
  if (v === Number.POSITIVE_INFINITY) return "inf";
  if (v === Number.NEGATIVE_INFINITY) return "-inf";
  return Object.is(v, -0) ? "-0" : String(v);
}

/** Shortest decimal that reads back as the same f32. */
export function formatF32(v: number): string {
  if (!Number.isFinite(v) || Number.isInteger(v)) return formatNumber(v);
  for (let digits = 1; digits < 9; digits++) {
    const text = Number(v.toPrecision(digits));
    if (Math.fround(text) === v) return formatNumber(text);
  }
  return formatNumber(Number(v.toPrecision(9)));
}
