/** Gathers and scatters: the gradient of one is the other. */
import { num, str, type Value } from "../../../compiler/core/index.js";
import { type Gradient, ints, normalAxis, rankOf, zerosLike } from "./context.js";

export const indexing = {
  gather: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const [x, indices] = [g.x(0), g.x(1)];
      const axis = normalAxis(num(g.kind, "axis", 0), rankOf(x));
      const picks = rankOf(indices);
      g.add(0, () => {
        // The gathered axes go first, then each pick adds its slice of dy to a slice of zeros.
        const front = (rank: number, count: number): number[] => [
          ...Array.from({ length: count }, (_, i) => axis + i),
          ...Array.from({ length: rank }, (_, i) => i).filter((i) => i < axis || i >= axis + count),
        ];
        const perm = front(rankOf(x), 1);
        const moved = axis === 0 ? dy : g.value("transpose", [dy], { perm: front(rankOf(dy), picks) });
        const target = axis === 0 ? zerosLike(g, x) : g.value("transpose", [zerosLike(g, x)], { perm });
        const tuples = g.value("unsqueeze", [g.value("cast", [indices], { to: "i64" }), ints(g, [picks])]);
        const sum = g.value("scatter_nd", [target, tuples, moved], { reduction: "add" });
        return axis === 0 ? sum : g.value("transpose", [sum], { perm: perm.map((_, i) => perm.indexOf(i)) });
      });
    },
  },
  gather_elements: {
    rule(g) {
      const dy = g.dy();
      if (dy !== null)
        g.add(0, () => g.value("scatter_elements", [zerosLike(g, g.x(0)), g.x(1), dy], { axis: num(g.kind, "axis", 0), reduction: "add" }));
    },
  },
  gather_nd: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      if (num(g.kind, "batch_dims", 0) !== 0) g.reject("it has batch_dims");
      g.add(0, () => g.value("scatter_nd", [zerosLike(g, g.x(0)), g.x(1), dy], { reduction: "add" }));
    },
  },
  scatter_elements: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const [axis, reduction] = [num(g.kind, "axis", 0), str(g.kind, "reduction", "none")];
      if (reduction !== "none" && reduction !== "add") g.reject(`its reduction is ${reduction}`);
      g.add(0, () => (reduction === "add" ? dy : g.value("scatter_elements", [dy, g.x(1), zerosLike(g, g.x(2))], { axis })));
      g.add(2, () => g.value("gather_elements", [dy, g.x(1)], { axis }));
    },
  },
  scatter_nd: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const reduction = str(g.kind, "reduction", "none");
      if (reduction !== "none" && reduction !== "add") g.reject(`its reduction is ${reduction}`);
      g.add(0, () => (reduction === "add" ? dy : g.value("scatter_nd", [dy, g.x(1), zerosLike(g, g.x(2))], {})));
      g.add(2, () => g.value("gather_nd", [dy, g.x(1)], {}));
    },
  },
  top_k: {
    rule(g) {
      const dy = g.dy();
      const axis = normalAxis(num(g.kind, "axis", -1), rankOf(g.x(0)));
      if (dy !== null) g.add(0, () => g.value("scatter_elements", [zerosLike(g, g.x(0)), g.y(1) as Value, dy], { axis, reduction: "add" }));
    },
  },
} satisfies Record<string, Gradient>;
