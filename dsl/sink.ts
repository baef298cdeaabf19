/** Where a model's layers go as it is elaborated. The driver's sink builds IR. */
import type { Span } from "../compiler/core/diagnostics/index.js";
import type { LayerDeclaration } from "./declarations.js";

export interface ModelSink<V> {
  input(name: string, elementType: string, dims: readonly (number | string)[], span: Span): V;
  /**
   * @param options as the layer's schema parsed them
   * @param name unique in the model: `layer1.0.conv1`
   */
  layer(declaration: LayerDeclaration, inputs: readonly V[], options: Readonly<Record<string, unknown>>, name: string, span: Span): readonly V[];
  output(name: string, value: V, span: Span): void;
  /** Shape of a value for `shape(x)`; `null` where it is unknown. */
  shape(value: V): readonly (number | string)[] | null;
}
