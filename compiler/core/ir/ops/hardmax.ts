import { alongAxis } from "./_norm.js";

export const hardmax = alongAxis("hardmax", "1 at the first greatest value along an axis, else 0", (row) => {
  const top = row.reduce((best, v, i) => (v > (row[best] as number) ? i : best), 0);
  return row.map((_, i) => (i === top ? 1 : 0));
});
