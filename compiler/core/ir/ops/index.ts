/** The table of op kinds. Adding an op: its file beside this one, and a line here. */
import type { OpDefinition } from "../op.js";
import { constant } from "./constant.js";

const table = { constant } as const satisfies Record<string, OpDefinition>;

export type OpKind = keyof typeof table;
export const opKinds = Object.keys(table) as readonly OpKind[];
export const isOpKind = (kind: string): kind is OpKind => Object.hasOwn(table, kind);
/** The declaration of a kind; `undefined` for kinds that are only carried. */
export const opDefinition = (kind: string): OpDefinition | undefined => (isOpKind(kind) ? table[kind] : undefined);
