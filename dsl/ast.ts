/** The syntax tree. Operator chains are flat, so that long ones need no deep recursion. */
import type { Span } from "../compiler/core/diagnostics/index.js";

export interface Ident {
  readonly name: string;
  readonly span: Span;
}

export interface Argument {
  /** `null` for a positional argument. */
  readonly key: Ident | null;
  readonly value: Expr;
  readonly span: Span;
}

export interface Call {
  readonly callee: Ident;
  readonly args: readonly Argument[];
  readonly span: Span;
}

export type Operator = "or" | "and" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "+" | "-" | "*" | "/" | "%";

export type Expr =
  | { readonly kind: "number"; readonly value: number; readonly span: Span }
  | { readonly kind: "quantity"; readonly value: number; readonly unit: string; readonly span: Span }
  | { readonly kind: "string" /** With quotes and escapes. */; readonly raw: string; readonly span: Span }
  | { readonly kind: "constant"; readonly value: boolean | null; readonly span: Span }
  | { readonly kind: "name"; readonly name: string; readonly span: Span }
  | { readonly kind: "call"; readonly call: Call; readonly span: Span }
  | { readonly kind: "list"; readonly items: readonly Expr[]; readonly span: Span }
  | { readonly kind: "record"; readonly entries: readonly Argument[]; readonly span: Span }
  | {
      readonly kind: "chain";
      readonly first: Expr;
      readonly rest: readonly { readonly op: Operator; readonly opSpan: Span; readonly right: Expr }[];
      readonly span: Span;
    }
  | {
      readonly kind: "prefix";
      readonly op: "-" | "not" /** How often it stands there. */;
      readonly times: number;
      readonly operand: Expr;
      readonly span: Span;
    }
  | { readonly kind: "index"; readonly base: Expr; readonly indices: readonly Expr[]; readonly span: Span }
  | { readonly kind: "pipe"; readonly first: Expr; readonly calls: readonly Call[]; readonly span: Span };

export interface Parameter {
  readonly name: Ident;
  readonly default: Expr | null;
}

export interface Block {
  readonly kind: "block";
  readonly name: Ident;
  readonly params: readonly Parameter[];
  readonly body: readonly Statement[];
  readonly span: Span;
}

export type Statement =
  | { readonly kind: "input"; readonly name: Ident; readonly type: Ident; readonly dims: readonly Expr[]; readonly span: Span }
  | { readonly kind: "output"; readonly name: Ident; readonly value: Expr | null; readonly span: Span }
  | { readonly kind: "return"; readonly value: Expr; readonly span: Span }
  | { readonly kind: "bind"; readonly name: Ident; readonly value: Expr; readonly span: Span }
  | { readonly kind: "for"; readonly name: Ident; readonly list: Expr; readonly body: readonly Statement[]; readonly span: Span }
  | { readonly kind: "repeat"; readonly times: Expr; readonly body: readonly Statement[]; readonly span: Span }
  | {
      readonly kind: "if";
      readonly branches: readonly { readonly condition: Expr; readonly body: readonly Statement[] }[];
      readonly otherwise: readonly Statement[];
      readonly span: Span;
    }
  | Block;

export interface DataReference {
  readonly name: Ident;
  readonly from: Expr | null;
  readonly to: Expr | null;
  readonly sliced: boolean;
  readonly span: Span;
}

export type RequirementNode = { readonly span: Span; readonly op: Ident | null; readonly value: Expr | null } & (
  | { readonly kind: "measure"; readonly name: Ident; readonly drop: boolean; readonly args: readonly Argument[] | null }
  | { readonly kind: "ops"; readonly target: Ident }
);

export type PlanStatement =
  | { readonly kind: "source"; readonly what: "model"; readonly call: Call; readonly span: Span }
  | { readonly kind: "source"; readonly what: "file"; readonly format: Ident; readonly path: Expr; readonly span: Span }
  | { readonly kind: "calibrate"; readonly data: DataReference; readonly span: Span }
  | { readonly kind: "evaluate"; readonly metrics: readonly Ident[]; readonly data: DataReference; readonly span: Span }
  | { readonly kind: "require"; readonly requirement: RequirementNode; readonly span: Span }
  | { readonly kind: "emit"; readonly what: Ident; readonly args: readonly Argument[]; readonly span: Span }
  | { readonly kind: "seed"; readonly value: Expr; readonly span: Span }
  | { readonly kind: "pass"; readonly call: Call; readonly span: Span };

export interface DataCall {
  readonly kind: Ident;
  readonly args: readonly Argument[];
  readonly span: Span;
}

export type Item =
  | { readonly kind: "import"; readonly path: Expr; readonly span: Span }
  | { readonly kind: "use"; readonly path: Expr; readonly span: Span }
  | { readonly kind: "param"; readonly name: Ident; readonly type: Ident | null; readonly value: Expr; readonly span: Span }
  | { readonly kind: "data"; readonly name: Ident; readonly call: DataCall; readonly span: Span }
  | {
      readonly kind: "data-group";
      readonly name: Ident;
      readonly splits: readonly { readonly name: Ident; readonly call: DataCall }[];
      readonly span: Span;
    }
  | { readonly kind: "model"; readonly name: Ident; readonly params: readonly Parameter[]; readonly body: readonly Statement[]; readonly span: Span }
  | Block
  | { readonly kind: "plan"; readonly name: Ident; readonly base: Ident | null; readonly body: readonly PlanStatement[]; readonly span: Span };
