/** How a scatter combines an update with what is there. */
import type { Attrs } from "../graph.js";
import { str } from "../graph.js";

export const combine = (attrs: Attrs): ((old: number, update: number) => number) => {
  switch (str({ attrs }, "reduction", "none")) {
    case "add":
      return (a, b) => a + b;
    case "mul":
      return (a, b) => a * b;
    case "min":
      return Math.min;
    case "max":
      return Math.max;
    default:
      return (_, b) => b;
  }
};
