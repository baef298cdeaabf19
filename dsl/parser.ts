/**
 * The parser: Chevrotain, LL(k) with error recovery, so that one run reports several faults. Rules return syntax nodes; a statement in which the parser had to
 * invent or drop tokens is left out of the tree, and its fault is in the diagnostics.
 */
import {
  EmbeddedActionsParser,
  EOF,
  type IParserErrorMessageProvider,
  type IRecognitionException,
  type IToken,
  type TokenType,
  tokenLabel,
} from "chevrotain";
import { type Diagnostic, diagnostic, nearest, type Span } from "../compiler/core/diagnostics/index.js";
import type {
  Argument,
  Block,
  Call,
  DataCall,
  DataReference,
  Expr,
  Ident,
  Item,
  Operator,
  Parameter,
  PlanStatement,
  RequirementNode,
  Statement,
} from "./ast.js";
import * as t from "./tokens.js";

const { kw } = t;

/** Brackets nest at most this deep: the parser recurses. */
const MAX_NESTING = 100;

/** Alternatives are listed up to this many. */
const MAX_LISTED = 6;

const label = (type: TokenType): string => (type === EOF ? "the end of the file" : tokenLabel(type));

const first = (paths: readonly (readonly TokenType[])[]): string[] => [...new Set(paths.flatMap((p) => (p[0] === undefined ? [] : [label(p[0])])))];

function oneOf(labels: readonly string[]): string {
  // Keys may be any keyword: the list would hide what is meant.
  if (labels.length > MAX_LISTED && labels.includes("name")) return "a name";
  return labels.length === 1 ? (labels[0] as string) : `${labels.slice(0, -1).join(", ")} or ${labels.at(-1)}`;
}

const expectedItem = `expected ${oneOf(["import", "use", "param", "data", "model", "block", "plan"].map((w) => `\`${w}\``))}`;

/** What was expected, in the words of the language; what was found is added by `syntaxFault`. */
const errorMessageProvider: IParserErrorMessageProvider = {
  buildMismatchTokenMessage: ({ expected }) => (expected === EOF ? expectedItem : `expected ${label(expected)}`),
  buildNotAllInputParsedMessage: () => expectedItem,
  buildNoViableAltMessage: ({ expectedPathsPerAlt, ruleName }) =>
    ["primary", "positional"].includes(ruleName) ? "expected a value" : `expected ${oneOf(first(expectedPathsPerAlt.flat()))}`,
  buildEarlyExitMessage: ({ expectedIterationPaths }) => `expected ${oneOf(first(expectedIterationPaths))}`,
};

/** Faults since the start that no dropped statement accounts for. The provider of messages is asked for each, and comes before the parser itself. */
let faults = 0;
/** All of them. Parsing ends after so many: recovery is slow, and so long a list helps nobody. */
let all = 0;
const MAX_FAULTS = 30;

class TooManyFaults extends Error {}

const counting: IParserErrorMessageProvider = {
  buildMismatchTokenMessage: (o) => counted(errorMessageProvider.buildMismatchTokenMessage(o)),
  buildNotAllInputParsedMessage: (o) => counted(errorMessageProvider.buildNotAllInputParsedMessage(o)),
  buildNoViableAltMessage: (o) => counted(errorMessageProvider.buildNoViableAltMessage(o)),
  buildEarlyExitMessage: (o) => counted(errorMessageProvider.buildEarlyExitMessage(o)),
};

function counted(message: string): string {
  faults++;
  if (++all > MAX_FAULTS) throw new TooManyFaults();
  return message;
}

/** What a rule gives that gave up; the statement around it is dropped. */
const nowhere: Span = { file: "", start: { line: 0, column: 0, offset: 0 }, end: { line: 0, column: 0, offset: 0 } };
const noIdent: Ident = { name: "", span: nowhere };
const missing = { recoveryValueFunc: (): Expr => ({ kind: "constant", value: null, span: nowhere }) };

export class PlanParser extends EmbeddedActionsParser {
  #file = "";
  /** Kept here, not returned: what was read before a fault survives the recovery of the topmost rule. */
  #items: Item[] = [];

  constructor() {
    super(t.allTokens, { recoveryEnabled: true, maxLookahead: 3, errorMessageProvider: counting });
    this.performSelfAnalysis();
  }

  start(file: string, tokens: IToken[]): Item[] {
    this.#file = file;
    this.input = tokens;
    this.#items = [];
    faults = 0;
    all = 0;
    try {
      this.file();
    } catch (error) {
      if (!(error instanceof TooManyFaults)) throw error;
    }
    return this.#items;
  }

  // Places

  #spanOf(a: IToken, b: IToken = a): Span {
    const end = b.endOffset ?? b.startOffset;
    return {
      file: this.#file,
      start: { line: a.startLine ?? 1, column: a.startColumn ?? 1, offset: a.startOffset },
      end: { line: b.endLine ?? b.startLine ?? 1, column: (b.endColumn ?? b.startColumn ?? 1) + 1, offset: end + 1 },
    };
  }

  /** From a token to the last one that was consumed. */
  #from(first: IToken): Span {
    return this.#spanOf(first, this.LA(0).tokenType === undefined ? first : this.LA(0));
  }

  #join(a: Span, b: Span): Span {
    return { file: a.file, start: a.start, end: b.end };
  }

  #ident(token: IToken): Ident {
    return { name: token.image, span: this.#spanOf(token) };
  }

  /** The next token stands on the line of the last one: what follows a pass's name belongs to it only then. */
  #sameLine = (): boolean => this.LA(1).startLine === this.LA(0).endLine;

  /** What was parsed, or nothing when there was a fault in it. Faults of inner statements went with those. */
  #whole<T>(parse: () => T): T | undefined {
    const before = faults;
    const result = parse();
    const ok = faults === before;
    faults = before;
    return ok ? result : undefined;
  }

  /** Statements in braces: a fault between two of them costs neither what stands around nor what was read. */
  #braced(parse: () => void): void {
    const before = faults;
    parse();
    faults = before;
  }

  // File

  readonly file = this.RULE("file", () => {
    this.MANY(() => {
      const item = this.SUBRULE(this.item);
      this.ACTION(() => {
        if (item !== undefined) this.#items.push(item);
      });
    });
  });

  readonly item = this.RULE("item", (): Item | undefined =>
    this.#whole(() =>
      this.OR<Item | undefined>([
        { ALT: () => this.SUBRULE(this.importItem) },
        { ALT: () => this.SUBRULE(this.useItem) },
        { ALT: () => this.SUBRULE(this.paramItem) },
        { ALT: () => this.SUBRULE(this.dataItem) },
        { ALT: () => this.SUBRULE(this.modelItem) },
        { ALT: () => this.SUBRULE(this.block) },
        { ALT: () => this.SUBRULE(this.planItem) },
      ]),
    ),
  );

  readonly importItem = this.RULE("importItem", (): Item => {
    const first = this.CONSUME(kw.import);
    const path = this.SUBRULE(this.string);
    return { kind: "import", path, span: this.#from(first) };
  });

  readonly useItem = this.RULE("useItem", (): Item => {
    const first = this.CONSUME(kw.use);
    const path = this.SUBRULE(this.string);
    return { kind: "use", path, span: this.#from(first) };
  });

  readonly paramItem = this.RULE("paramItem", (): Item => {
    const first = this.CONSUME(kw.param);
    const name = this.#ident(this.CONSUME(t.Name));
    const type = this.OPTION(() => {
      this.CONSUME(t.Colon);
      return this.#ident(this.CONSUME2(t.Name));
    });
    this.CONSUME(t.Assign);
    const value = this.SUBRULE(this.expression);
    return { kind: "param", name, type: type ?? null, value, span: this.#from(first) };
  });

  readonly dataItem = this.RULE("dataItem", (): Item => {
    const first = this.CONSUME(kw.data);
    const name = this.#ident(this.CONSUME(t.Name));
    return this.OR<Item>([
      {
        ALT: () => {
          this.CONSUME(t.Assign);
          const call = this.SUBRULE(this.dataCall);
          return { kind: "data", name, call, span: this.#from(first) };
        },
      },
      {
        ALT: () => {
          this.CONSUME(t.LBrace);
          const splits: { name: Ident; call: DataCall }[] = [];
          this.MANY(() => {
            const split = this.#whole(() => {
              const part = this.SUBRULE(this.key);
              this.CONSUME(t.Colon);
              return { name: part, call: this.SUBRULE2(this.dataCall) };
            });
            this.OPTION(() => this.CONSUME(t.Comma));
            if (split !== undefined) splits.push(split);
          });
          this.CONSUME(t.RBrace);
          return { kind: "data-group", name, splits, span: this.#from(first) };
        },
      },
    ]);
  });

  readonly dataCall = this.RULE(
    "dataCall",
    (): DataCall => {
      const first = this.CONSUME(t.Name);
      const args = this.SUBRULE(this.record);
      return { kind: this.#ident(first), args, span: this.#from(first) };
    },
    { recoveryValueFunc: (): DataCall => ({ kind: noIdent, args: [], span: nowhere }) },
  );

  readonly modelItem = this.RULE("modelItem", (): Item => {
    const first = this.CONSUME(kw.model);
    const name = this.#ident(this.CONSUME(t.Name));
    const params = this.OPTION(() => this.SUBRULE(this.parameters));
    const body = this.SUBRULE(this.body);
    return { kind: "model", name, params: params ?? [], body, span: this.#from(first) };
  });

  readonly block = this.RULE(
    "block",
    (): Block => {
      const first = this.CONSUME(kw.block);
      const name = this.#ident(this.CONSUME(t.Name));
      const params = this.SUBRULE(this.parameters);
      const body = this.SUBRULE(this.body);
      return { kind: "block", name, params, body, span: this.#from(first) };
    },
    { recoveryValueFunc: (): Block => ({ kind: "block", name: noIdent, params: [], body: [], span: nowhere }) },
  );

  readonly parameters = this.RULE(
    "parameters",
    (): Parameter[] => {
      const params: Parameter[] = [];
      this.CONSUME(t.LParen);
      this.MANY_SEP({
        SEP: t.Comma,
        DEF: () => {
          const name = this.#ident(this.CONSUME(t.Name));
          const value = this.OPTION(() => {
            this.CONSUME(t.Assign);
            return this.SUBRULE(this.expression);
          });
          params.push({ name, default: value ?? null });
        },
      });
      this.CONSUME(t.RParen);
      return params;
    },
    { recoveryValueFunc: () => [] },
  );

  // Models

  readonly body = this.RULE(
    "body",
    (): Statement[] => {
      const statements: Statement[] = [];
      this.#braced(() => {
        this.CONSUME(t.LBrace);
        this.MANY(() => {
          const s = this.SUBRULE(this.statement);
          if (s !== undefined) statements.push(s);
        });
        this.CONSUME(t.RBrace);
      });
      return statements;
    },
    { recoveryValueFunc: () => [] },
  );

  readonly statement = this.RULE("statement", (): Statement | undefined =>
    this.#whole(() =>
      this.OR<Statement | undefined>([
        { ALT: () => this.SUBRULE(this.inputStatement) },
        { ALT: () => this.SUBRULE(this.outputStatement) },
        { ALT: () => this.SUBRULE(this.returnStatement) },
        { ALT: () => this.SUBRULE(this.forStatement) },
        { ALT: () => this.SUBRULE(this.repeatStatement) },
        { ALT: () => this.SUBRULE(this.ifStatement) },
        { ALT: () => this.SUBRULE(this.block) },
        { ALT: () => this.SUBRULE(this.binding) },
      ]),
    ),
  );

  readonly inputStatement = this.RULE("inputStatement", (): Statement => {
    const first = this.CONSUME(kw.input);
    const name = this.#ident(this.CONSUME(t.Name));
    this.CONSUME(t.Colon);
    const type = this.#ident(this.CONSUME2(t.Name));
    const dims: Expr[] = [];
    this.CONSUME(t.LBracket);
    this.MANY_SEP({ SEP: t.Comma, DEF: () => dims.push(this.SUBRULE(this.expression)) });
    this.CONSUME(t.RBracket);
    return { kind: "input", name, type, dims, span: this.#from(first) };
  });

  readonly outputStatement = this.RULE("outputStatement", (): Statement => {
    const first = this.CONSUME(kw.output);
    const name = this.#ident(this.CONSUME(t.Name));
    const value = this.OPTION(() => {
      this.CONSUME(t.Assign);
      return this.SUBRULE(this.expression);
    });
    return { kind: "output", name, value: value ?? null, span: this.#from(first) };
  });

  readonly returnStatement = this.RULE("returnStatement", (): Statement => {
    const first = this.CONSUME(kw.return);
    const value = this.SUBRULE(this.expression);
    return { kind: "return", value, span: this.#from(first) };
  });

  readonly forStatement = this.RULE("forStatement", (): Statement => {
    const first = this.CONSUME(kw.for);
    const name = this.#ident(this.CONSUME(t.Name));
    this.CONSUME(kw.in);
    const list = this.SUBRULE(this.expression);
    const body = this.SUBRULE(this.body);
    return { kind: "for", name, list, body, span: this.#from(first) };
  });

  readonly repeatStatement = this.RULE("repeatStatement", (): Statement => {
    const first = this.CONSUME(kw.repeat);
    const times = this.SUBRULE(this.expression);
    const body = this.SUBRULE(this.body);
    return { kind: "repeat", times, body, span: this.#from(first) };
  });

  readonly ifStatement = this.RULE("ifStatement", (): Statement => {
    const branches: { condition: Expr; body: readonly Statement[] }[] = [];
    const first = this.CONSUME(kw.if);
    const condition = this.SUBRULE(this.expression);
    branches.push({ condition, body: this.SUBRULE(this.body) });
    this.MANY({
      GATE: () => this.LA(2).tokenType === kw.if,
      DEF: () => {
        this.CONSUME(kw.else);
        this.CONSUME2(kw.if);
        const next = this.SUBRULE2(this.expression);
        branches.push({ condition: next, body: this.SUBRULE2(this.body) });
      },
    });
    const otherwise = this.OPTION(() => {
      this.CONSUME2(kw.else);
      return this.SUBRULE3(this.body);
    });
    return { kind: "if", branches, otherwise: otherwise ?? [], span: this.#from(first) };
  });

  readonly binding = this.RULE("binding", (): Statement => {
    this.OPTION(() => this.CONSUME(kw.let));
    const first = this.CONSUME(t.Name);
    this.CONSUME(t.Assign);
    const value = this.SUBRULE(this.expression);
    return { kind: "bind", name: this.#ident(first), value, span: this.#from(first) };
  });

  // Expressions

  readonly expression = this.RULE(
    "expression",
    (): Expr => {
      const first = this.SUBRULE(this.disjunction);
      const calls: Call[] = [];
      this.MANY(() => {
        this.CONSUME(t.Pipe);
        const call = this.SUBRULE(this.call);
        calls.push(call);
      });
      return this.ACTION(() =>
        calls.length === 0 ? first : { kind: "pipe", first, calls, span: this.#join(first.span, (calls.at(-1) as Call).span) },
      );
    },
    missing,
  );

  readonly call = this.RULE(
    "call",
    (): Call => {
      const name = this.CONSUME(t.Name);
      const args = this.OPTION(() => this.SUBRULE(this.args));
      return { callee: this.#ident(name), args: args ?? [], span: this.#from(name) };
    },
    { recoveryValueFunc: (): Call => ({ callee: noIdent, args: [], span: nowhere }) },
  );

  readonly args = this.RULE(
    "args",
    (): Argument[] => {
      const args: Argument[] = [];
      this.CONSUME(t.LParen);
      this.MANY_SEP({ SEP: t.Comma, DEF: () => args.push(this.SUBRULE(this.argument)) });
      this.CONSUME(t.RParen);
      return args;
    },
    { recoveryValueFunc: () => [] },
  );

  readonly argument = this.RULE(
    "argument",
    (): Argument => {
      const key = this.OPTION({
        GATE: () => this.LA(2).tokenType === t.Colon,
        DEF: () => {
          const k = this.SUBRULE(this.key);
          this.CONSUME(t.Colon);
          return k;
        },
      });
      const value = this.SUBRULE(this.expression);
      return this.ACTION(() => ({ key: key ?? null, value, span: key === undefined ? value.span : this.#join(key.span, value.span) }));
    },
    { recoveryValueFunc: (): Argument => ({ key: null, value: missing.recoveryValueFunc(), span: nowhere }) },
  );

  /** Keywords may be keys: `input: "image"`. */
  readonly key = this.RULE(
    "key",
    (): Ident => {
      const token = this.OR([
        { ALT: () => this.CONSUME(t.Name) },
        { ALT: () => this.CONSUME(t.Str) },
        ...t.keywords.map((w) => ({ ALT: () => this.CONSUME(kw[w]) })),
      ]);
      return this.ACTION(() => ({ name: token.tokenType === t.Str ? token.image.slice(1, -1) : token.image, span: this.#spanOf(token) }));
    },
    { recoveryValueFunc: () => noIdent },
  );

  #chain(first: Expr, rest: readonly { op: Operator; opSpan: Span; right: Expr }[]): Expr {
    return rest.length === 0 ? first : { kind: "chain", first, rest, span: this.#join(first.span, (rest.at(-1) as { right: Expr }).right.span) };
  }

  readonly disjunction = this.RULE(
    "disjunction",
    (): Expr => {
      const first = this.SUBRULE(this.conjunction);
      const rest: { op: Operator; opSpan: Span; right: Expr }[] = [];
      this.MANY(() => {
        const op = this.CONSUME(kw.or);
        const right = this.SUBRULE2(this.conjunction);
        rest.push({ op: "or", opSpan: this.#spanOf(op), right });
      });
      return this.ACTION(() => this.#chain(first, rest));
    },
    missing,
  );

  readonly conjunction = this.RULE(
    "conjunction",
    (): Expr => {
      const first = this.SUBRULE(this.negation);
      const rest: { op: Operator; opSpan: Span; right: Expr }[] = [];
      this.MANY(() => {
        const op = this.CONSUME(kw.and);
        const right = this.SUBRULE2(this.negation);
        rest.push({ op: "and", opSpan: this.#spanOf(op), right });
      });
      return this.ACTION(() => this.#chain(first, rest));
    },
    missing,
  );

  readonly negation = this.RULE(
    "negation",
    (): Expr => {
      const marks: IToken[] = [];
      this.MANY(() => marks.push(this.CONSUME(kw.not)));
      const operand = this.SUBRULE(this.comparison);
      return this.ACTION(() =>
        marks.length === 0
          ? operand
          : { kind: "prefix", op: "not", times: marks.length, operand, span: this.#join(this.#spanOf(marks[0] as IToken), operand.span) },
      );
    },
    missing,
  );

  readonly comparison = this.RULE(
    "comparison",
    (): Expr => {
      const first = this.SUBRULE(this.sum);
      const rest: { op: Operator; opSpan: Span; right: Expr }[] = [];
      this.OPTION(() => {
        const op = this.SUBRULE(this.comparator);
        const right = this.SUBRULE2(this.sum);
        this.ACTION(() => rest.push({ op: op.name as Operator, opSpan: op.span, right }));
      });
      return this.ACTION(() => this.#chain(first, rest));
    },
    missing,
  );

  readonly comparator = this.RULE(
    "comparator",
    (): Ident =>
      this.#ident(
        this.OR([
          { ALT: () => this.CONSUME(t.LessEqual) },
          { ALT: () => this.CONSUME(t.GreaterEqual) },
          { ALT: () => this.CONSUME(t.EqualEqual) },
          { ALT: () => this.CONSUME(t.NotEqual) },
          { ALT: () => this.CONSUME(t.Less) },
          { ALT: () => this.CONSUME(t.Greater) },
        ]),
      ),
    { recoveryValueFunc: () => noIdent },
  );

  readonly sum = this.RULE(
    "sum",
    (): Expr => {
      const first = this.SUBRULE(this.product);
      const rest: { op: Operator; opSpan: Span; right: Expr }[] = [];
      this.MANY(() => {
        const op = this.OR([{ ALT: () => this.CONSUME(t.Plus) }, { ALT: () => this.CONSUME(t.Minus) }]);
        const right = this.SUBRULE2(this.product);
        rest.push({ op: op.image as Operator, opSpan: this.#spanOf(op), right });
      });
      return this.ACTION(() => this.#chain(first, rest));
    },
    missing,
  );

  readonly product = this.RULE(
    "product",
    (): Expr => {
      const first = this.SUBRULE(this.unary);
      const rest: { op: Operator; opSpan: Span; right: Expr }[] = [];
      this.MANY(() => {
        const op = this.OR([{ ALT: () => this.CONSUME(t.Star) }, { ALT: () => this.CONSUME(t.Slash) }, { ALT: () => this.CONSUME(t.Percent) }]);
        const right = this.SUBRULE2(this.unary);
        rest.push({ op: op.image as Operator, opSpan: this.#spanOf(op), right });
      });
      return this.ACTION(() => this.#chain(first, rest));
    },
    missing,
  );

  readonly unary = this.RULE(
    "unary",
    (): Expr => {
      const marks: IToken[] = [];
      this.MANY(() => marks.push(this.CONSUME(t.Minus)));
      const operand = this.SUBRULE(this.postfix);
      return this.ACTION(() =>
        marks.length === 0
          ? operand
          : { kind: "prefix", op: "-", times: marks.length, operand, span: this.#join(this.#spanOf(marks[0] as IToken), operand.span) },
      );
    },
    missing,
  );

  readonly postfix = this.RULE(
    "postfix",
    (): Expr => {
      const base = this.SUBRULE(this.primary);
      const indices: Expr[] = [];
      let last: IToken | undefined;
      this.MANY(() => {
        this.CONSUME(t.LBracket);
        indices.push(this.SUBRULE(this.expression));
        last = this.CONSUME(t.RBracket);
      });
      return this.ACTION((): Expr => (last === undefined ? base : { kind: "index", base, indices, span: this.#join(base.span, this.#spanOf(last)) }));
    },
    missing,
  );

  readonly primary = this.RULE(
    "primary",
    (): Expr =>
      this.OR<Expr>([
        {
          ALT: () => {
            const n = this.CONSUME(t.Num);
            return { kind: "number", value: Number(n.image), span: this.#spanOf(n) };
          },
        },
        {
          ALT: () => {
            const q = this.CONSUME(t.Quantity);
            const value = Number.parseFloat(q.image);
            return { kind: "quantity", value, unit: /[%A-Za-z]+$/.exec(q.image)?.[0] ?? "", span: this.#spanOf(q) };
          },
        },
        { ALT: () => this.SUBRULE(this.string) },
        {
          ALT: () => {
            const c = this.OR2([{ ALT: () => this.CONSUME(kw.true) }, { ALT: () => this.CONSUME(kw.false) }, { ALT: () => this.CONSUME(kw.null) }]);
            return { kind: "constant", value: c.image === "null" ? null : c.image === "true", span: this.#spanOf(c) };
          },
        },
        {
          ALT: () => {
            const name = this.CONSUME(t.Name);
            const args = this.OPTION(() => this.SUBRULE(this.args));
            const span = this.#from(name);
            return args === undefined
              ? { kind: "name", name: name.image, span }
              : { kind: "call", call: { callee: this.#ident(name), args, span }, span };
          },
        },
        {
          ALT: () => {
            this.CONSUME(t.LParen);
            const inner = this.SUBRULE(this.expression);
            this.CONSUME(t.RParen);
            return inner;
          },
        },
        {
          ALT: () => {
            const first = this.CONSUME(t.LBracket);
            const items: Expr[] = [];
            this.MANY_SEP({ SEP: t.Comma, DEF: () => items.push(this.SUBRULE2(this.expression)) });
            this.CONSUME(t.RBracket);
            return { kind: "list", items, span: this.#from(first) };
          },
        },
        {
          ALT: () => {
            const first = this.LA(1);
            const entries = this.SUBRULE(this.record);
            return { kind: "record", entries, span: this.#from(first) };
          },
        },
      ]),
    missing,
  );

  readonly string = this.RULE(
    "string",
    (): Expr => {
      const s = this.CONSUME(t.Str);
      return { kind: "string", raw: s.image, span: this.#spanOf(s) };
    },
    missing,
  );

  /** Commas between entries may be left out at line ends. */
  readonly record = this.RULE(
    "record",
    (): Argument[] => {
      const entries: Argument[] = [];
      this.CONSUME(t.LBrace);
      this.MANY(() => {
        const key = this.SUBRULE(this.key);
        this.CONSUME(t.Colon);
        const value = this.SUBRULE(this.expression);
        this.OPTION(() => this.CONSUME(t.Comma));
        this.ACTION(() => {
          entries.push({ key, value, span: this.#join(key.span, value.span) });
        });
      });
      this.CONSUME(t.RBrace);
      return entries;
    },
    { recoveryValueFunc: () => [] },
  );

  // Plans

  readonly planItem = this.RULE("planItem", (): Item => {
    const first = this.CONSUME(kw.plan);
    const name = this.#ident(this.CONSUME(t.Name));
    const base = this.OPTION(() => {
      this.CONSUME(kw.extends);
      return this.#ident(this.CONSUME2(t.Name));
    });
    const body: PlanStatement[] = [];
    this.#braced(() => {
      this.CONSUME(t.LBrace);
      this.MANY(() => {
        const s = this.SUBRULE(this.planStatement);
        if (s !== undefined) body.push(s);
      });
      this.CONSUME(t.RBrace);
    });
    return { kind: "plan", name, base: base ?? null, body, span: this.#from(first) };
  });

  readonly planStatement = this.RULE("planStatement", (): PlanStatement | undefined =>
    this.#whole(() =>
      this.OR<PlanStatement | undefined>([
        { ALT: () => this.SUBRULE(this.sourceStatement) },
        { ALT: () => this.SUBRULE(this.calibrateStatement) },
        { ALT: () => this.SUBRULE(this.evaluateStatement) },
        { ALT: () => this.SUBRULE(this.requireStatement) },
        { ALT: () => this.SUBRULE(this.emitStatement) },
        { ALT: () => this.SUBRULE(this.seedStatement) },
        { ALT: () => this.SUBRULE(this.passStatement) },
      ]),
    ),
  );

  readonly sourceStatement = this.RULE("sourceStatement", (): PlanStatement => {
    const first = this.CONSUME(kw.source);
    return this.OR<PlanStatement>([
      {
        ALT: () => {
          this.CONSUME(kw.model);
          const call = this.SUBRULE(this.call);
          return { kind: "source", what: "model", call, span: this.#from(first) };
        },
      },
      {
        ALT: () => {
          const format = this.#ident(this.CONSUME(t.Name));
          const path = this.SUBRULE(this.string);
          return { kind: "source", what: "file", format, path, span: this.#from(first) };
        },
      },
    ]);
  });

  readonly dataReference = this.RULE(
    "dataReference",
    (): DataReference => {
      const first = this.CONSUME(t.Name);
      let name = first.image;
      let last = first;
      this.MANY(() => {
        this.CONSUME(t.Dot);
        const part = this.SUBRULE(this.key);
        last = this.LA(0);
        this.ACTION(() => {
          name += `.${part.name}`;
        });
      });
      const nameSpan = this.#spanOf(first, last);
      let sliced = false;
      let from: Expr | null = null;
      let to: Expr | null = null;
      this.OPTION(() => {
        this.CONSUME(t.LBracket);
        from = this.OPTION2(() => this.SUBRULE(this.expression)) ?? null;
        this.CONSUME(t.Colon);
        to = this.OPTION3(() => this.SUBRULE2(this.expression)) ?? null;
        this.CONSUME(t.RBracket);
        sliced = true;
      });
      return { name: { name, span: nameSpan }, from, to, sliced, span: this.#from(first) };
    },
    { recoveryValueFunc: (): DataReference => ({ name: noIdent, from: null, to: null, sliced: false, span: nowhere }) },
  );

  readonly calibrateStatement = this.RULE("calibrateStatement", (): PlanStatement => {
    const first = this.CONSUME(kw.calibrate);
    const data = this.SUBRULE(this.dataReference);
    return { kind: "calibrate", data, span: this.#from(first) };
  });

  readonly evaluateStatement = this.RULE("evaluateStatement", (): PlanStatement => {
    const first = this.CONSUME(kw.evaluate);
    const metrics: Ident[] = [];
    this.AT_LEAST_ONE_SEP({ SEP: t.Comma, DEF: () => metrics.push(this.#ident(this.CONSUME(t.Name))) });
    this.CONSUME(kw.on);
    const data = this.SUBRULE(this.dataReference);
    return { kind: "evaluate", metrics, data, span: this.#from(first) };
  });

  readonly requireStatement = this.RULE("requireStatement", (): PlanStatement => {
    const first = this.CONSUME(kw.require);
    const name = this.#ident(this.CONSUME(t.Name));
    const requirement = this.OR<RequirementNode>([
      {
        ALT: () => {
          this.CONSUME(kw.in);
          const target = this.#ident(this.CONSUME2(t.Name));
          return { kind: "ops", target, op: name, value: null, span: this.#from(first) };
        },
      },
      {
        ALT: () => {
          const drop = this.OPTION(() => this.CONSUME(kw.drop)) !== undefined;
          const args = this.OPTION2(() => this.SUBRULE(this.args));
          const op = this.SUBRULE(this.comparator);
          const value = this.SUBRULE(this.sum);
          return { kind: "measure", name, drop, args: args ?? null, op, value, span: this.#from(first) };
        },
      },
    ]);
    return { kind: "require", requirement, span: this.#from(first) };
  });

  readonly emitStatement = this.RULE("emitStatement", (): PlanStatement => {
    const first = this.CONSUME(kw.emit);
    const what = this.#ident(this.CONSUME(t.Name));
    const args = this.SUBRULE(this.passArguments);
    return { kind: "emit", what, args, span: this.#from(first) };
  });

  readonly seedStatement = this.RULE("seedStatement", (): PlanStatement => {
    const first = this.CONSUME(kw.seed);
    const value = this.SUBRULE(this.expression);
    return { kind: "seed", value, span: this.#from(first) };
  });

  readonly passStatement = this.RULE("passStatement", (): PlanStatement => {
    const name = this.CONSUME(t.Name);
    const args = this.SUBRULE(this.passArguments);
    const span = this.#from(name);
    return { kind: "pass", call: { callee: this.#ident(name), args, span }, span };
  });

  /** `int8 { keep: ["fc"] }`: values by position on the same line, then a record; or arguments in parentheses. */
  readonly passArguments = this.RULE(
    "passArguments",
    (): Argument[] => {
      const args: Argument[] = [];
      const add = (list: readonly Argument[] | undefined): unknown => this.ACTION(() => args.push(...(list ?? [])));
      this.OPTION({ GATE: this.#sameLine, DEF: () => add(this.SUBRULE(this.args)) });
      this.MANY({
        GATE: this.#sameLine,
        DEF: () => {
          const value = this.SUBRULE(this.positional);
          this.ACTION(() => args.push({ key: null, value, span: value.span }));
        },
      });
      this.OPTION2({ GATE: this.#sameLine, DEF: () => add(this.SUBRULE(this.record)) });
      return args;
    },
    { recoveryValueFunc: () => [] },
  );

  readonly positional = this.RULE(
    "positional",
    (): Expr =>
      this.OR<Expr>([
        {
          ALT: () => {
            const n = this.CONSUME(t.Num);
            return { kind: "number", value: Number(n.image), span: this.#spanOf(n) };
          },
        },
        { ALT: () => this.SUBRULE(this.string) },
        {
          ALT: () => {
            const name = this.CONSUME(t.Name);
            return { kind: "name", name: name.image, span: this.#spanOf(name) };
          },
        },
      ]),
    missing,
  );
}

let shared: PlanParser | undefined;
/** One parser serves all files: building its tables costs more than parsing. */
export const planParser = (): PlanParser => {
  shared ??= new PlanParser();
  return shared;
};

export interface Parsed {
  readonly items: readonly Item[];
  readonly diagnostics: readonly Diagnostic[];
  readonly tokens: readonly IToken[];
  readonly comments: readonly IToken[];
}

const point = (file: string, line: number, column: number, offset: number, length: number): Span => ({
  file,
  start: { line, column, offset },
  end: { line, column: column + length, offset: offset + length },
});

const shownToken = (token: IToken): string =>
  token.image === "" ? "the end of the file" : `\`${token.image.length > 40 ? `${token.image.slice(0, 40)}…` : token.image}\``;

function syntaxFault(e: IRecognitionException, file: string): Diagnostic {
  const previous = (e as IRecognitionException & { readonly previousToken?: IToken }).previousToken;
  const at = Number.isFinite(e.token.startOffset) ? e.token : previous;
  const span =
    at === undefined || !Number.isFinite(at.startOffset)
      ? point(file, 1, 1, 0, 1)
      : at === e.token
        ? point(file, at.startLine ?? 1, at.startColumn ?? 1, at.startOffset, Math.max(1, at.image.length))
        : point(file, at.endLine ?? 1, (at.endColumn ?? 0) + 1, (at.endOffset ?? 0) + 1, 1);
  const inside = e.context.ruleStack.findLast((r) => /(?:Item|Statement)$|^(?:block|binding)$/.test(r));
  const near = e.token.tokenType === t.Name ? nearest(e.token.image, t.keywords) : undefined;
  return diagnostic("CEC2002", {
    message: `${e.message}, found ${shownToken(e.token)}`,
    ...(inside === undefined ? {} : { why: `in ${ruleName(inside)}` }),
    // Only what could stand here is suggested.
    ...(near !== undefined && e.message.includes(`\`${near}\``)
      ? { help: `did you mean \`${near}\`?` }
      : t.isKeyword(e.token) && /value|name/.test(e.message) && previous?.endLine === e.token.startLine
        ? { help: `\`${e.token.image}\` is a keyword; as a word it is written "${e.token.image}"` }
        : {}),
    span,
  });
}

/** `inputStatement` reads "an input statement". */
function ruleName(rule: string): string {
  const words = rule
    .replace(/Item$/, "")
    .replace(/([A-Z])/g, " $1")
    .toLowerCase();
  return `${/^[aeiou]/.test(words) ? "an" : "a"} ${words}`;
}

/** The first fault of each line: what follows it on the line is mostly its echo. */
function firstOfLines(faults: readonly Diagnostic[]): Diagnostic[] {
  const seen = new Set<number | undefined>();
  return faults.filter((d) => {
    const line = d.span?.start.line;
    if (seen.has(line)) return false;
    seen.add(line);
    return true;
  });
}

/** Lexes and parses; never throws for what a text holds. */
export function parse(text: string, file: string): Parsed {
  const none = { items: [], tokens: [], comments: [] };
  if (text.length > t.MAX_CHARACTERS) {
    return {
      ...none,
      diagnostics: [
        diagnostic("CEC2015", {
          message: `${file} has ${text.length} characters`,
          why: `a plan has at most ${t.MAX_CHARACTERS}`,
          help: "is this a plan file?",
        }),
      ],
    };
  }
  const lexed = t.lexer.tokenize(text);
  if (lexed.tokens.length > t.MAX_TOKENS) {
    return {
      ...none,
      diagnostics: [
        diagnostic("CEC2015", {
          message: `${file} has ${lexed.tokens.length} tokens`,
          why: `a plan has at most ${t.MAX_TOKENS}`,
          help: "loops and blocks say the same in less",
        }),
      ],
    };
  }
  const diagnostics: Diagnostic[] = lexed.errors.slice(0, 20).map((e) => {
    const found = text.slice(e.offset, e.offset + e.length);
    const span = point(file, e.line ?? 1, e.column ?? 1, e.offset, Math.max(1, Math.min(e.length, 80)));
    return found.startsWith('"')
      ? diagnostic("CEC2001", { message: "the string does not end on its line", help: 'close it with `"`', span })
      : diagnostic("CEC2001", {
          message: `${[...found].slice(0, 8).map(shownCharacter).join("")} starts no token`,
          help: found.startsWith("'") ? 'strings stand in double quotes: `"…"`' : found.startsWith("#") ? "comments start with `//`" : "remove it",
          span,
        });
  });
  let depth = 0;
  for (const token of lexed.tokens) {
    if ([t.LParen, t.LBracket, t.LBrace].includes(token.tokenType)) depth++;
    else if ([t.RParen, t.RBracket, t.RBrace].includes(token.tokenType)) depth--;
    if (depth > MAX_NESTING) {
      const span = point(file, token.startLine ?? 1, token.startColumn ?? 1, token.startOffset, 1);
      return {
        ...none,
        diagnostics: [
          ...diagnostics,
          diagnostic("CEC2015", { message: `brackets nest more than ${MAX_NESTING} deep`, help: "name parts of it with bindings", span }),
        ],
      };
    }
  }
  const parser = planParser();
  const items = parser.start(file, lexed.tokens);
  diagnostics.push(...parser.errors.slice(0, 20).map((e) => syntaxFault(e, file)));
  diagnostics.sort((a, b) => (a.span?.start.offset ?? 0) - (b.span?.start.offset ?? 0));
  return { items, diagnostics: firstOfLines(diagnostics), tokens: lexed.tokens, comments: (lexed.groups["comments"] as IToken[] | undefined) ?? [] };
}

const shownCharacter = (c: string): string => (c < " " || c === "\u007f" ? `\\u{${c.charCodeAt(0).toString(16)}}` : c);
