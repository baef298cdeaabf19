/** The table of layers that a model in the language may call. */
import { activations } from "./activations.js";
import { convolutions } from "./convolutions.js";
import type { Layer } from "./layer.js";
import { linear } from "./linear.js";
import { normalizations } from "./normalizations.js";
import { pools } from "./pools.js";
import { shapes } from "./shapes.js";

export { type Layer, layerContext } from "./layer.js";

const all: readonly Layer[] = [...convolutions, ...linear, ...normalizations, ...activations, ...pools, ...shapes];

/** By the name that a model calls. */
export const layers: ReadonlyMap<string, Layer> = new Map(all.map((l) => [l.name, l]));
