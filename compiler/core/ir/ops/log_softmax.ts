import { alongAxis } from "./_norm.js";

export const logSoftmax = alongAxis("log_softmax", "log of softmax along an axis", (row) => {
  const top = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const sum = row.reduce((a, v) => a + Math.exp(v - top), 0);
  return row.map((v) => v - top - Math.log(sum));
});
