/**
 * The formatter: line breaks stay where the writer put them (blank lines at most one in a row), indentation and spaces follow the brackets and the tokens, and
 * comments keep their places. Formatting twice changes nothing.
 */
import type { IToken } from "chevrotain";
import { CecError } from "../compiler/core/diagnostics/index.js";
import { parse } from "./parser.js";
import * as t from "./tokens.js";

const openers = new Set([t.LParen, t.LBracket, t.LBrace]);
const closers = new Set([t.RParen, t.RBracket, t.RBrace]);
const binary = new Set([
  t.Pipe,
  t.LessEqual,
  t.GreaterEqual,
  t.EqualEqual,
  t.NotEqual,
  t.Less,
  t.Greater,
  t.Assign,
  t.Plus,
  t.Star,
  t.Slash,
  t.Percent,
]);
const values = new Set([t.Name, t.Str, t.Num, t.Quantity, t.RParen, t.RBracket, t.RBrace, t.kw.true, t.kw.false, t.kw.null]);

/** A minus behind a value subtracts; elsewhere it is a sign. */
const isSign = (before: IToken | undefined): boolean => before === undefined || !values.has(before.tokenType);

interface Context {
  /** Innermost open bracket at the second token. */
  readonly open: IToken | undefined;
  /** The token before the first. */
  readonly before: IToken | undefined;
}

/** Whether a space stands between two tokens of one line. */
function spaced(a: IToken, b: IToken, c: Context): boolean {
  const [x, y] = [a.tokenType, b.tokenType];
  if (y === t.Comma) return false;
  if (x === t.Comma) return true;
  if (x === t.Dot || y === t.Dot) return false;
  if (y === t.Colon) return false;
  // In a slice the colon stands alone; as separator of key and value a space follows.
  if (x === t.Colon) return c.open?.tokenType !== t.LBracket;
  if (x === t.LBrace && y === t.RBrace) return false;
  if (x === t.LBrace || y === t.RBrace || y === t.LBrace) return true;
  if (x === t.LParen || x === t.LBracket || y === t.RParen || y === t.RBracket) return false;
  if (y === t.LParen) return x !== t.Name;
  if (y === t.LBracket) return !([t.Name, t.RBracket, t.RParen] as unknown[]).includes(x);
  if (x === t.Minus) return !isSign(c.before);
  if (y === t.Minus) return true;
  if (binary.has(x) || binary.has(y)) return true;
  return true;
}

const INDENT = "  ";

/**
 * Formats a plan file.
 * @throws CecError with every syntax fault: what does not parse is not touched
 */
export function format(text: string, path = "<text>"): string {
  const parsed = parse(text, path);
  if (parsed.diagnostics.some((d) => d.severity === "error")) throw new CecError([...parsed.diagnostics]);
  const tokens = [...parsed.tokens, ...parsed.comments].sort((a, b) => a.startOffset - b.startOffset);
  const lines: string[] = [];
  const open: IToken[] = [];
  let line = "";
  let previous: IToken | undefined;
  let lastCode: IToken | undefined;
  let beforeLast: IToken | undefined;
  const flush = (): void => {
    if (previous !== undefined) lines.push(line.trimEnd());
    line = "";
  };
  for (const token of tokens) {
    const isComment = token.tokenType === t.Comment;
    const breaks = previous === undefined ? 0 : (token.startLine ?? 0) - (previous.endLine ?? 0);
    if (previous === undefined || breaks > 0) {
      flush();
      if (breaks > 1 && lines.length > 0) lines.push("");
      const depth = open.length - (closers.has(token.tokenType) ? 1 : 0);
      // A line that goes on with an operator belongs to the one above.
      const continued = token.tokenType === t.Pipe || (binary.has(token.tokenType) && lastCode !== undefined) ? 1 : 0;
      line = INDENT.repeat(Math.max(0, depth) + continued);
    } else if (isComment) line += " ";
    else if (lastCode !== undefined && spaced(lastCode, token, { open: open.at(-1), before: beforeLast })) line += " ";
    line += isComment ? token.image.trimEnd() : token.image;
    if (openers.has(token.tokenType)) open.push(token);
    else if (closers.has(token.tokenType)) open.pop();
    previous = token;
    if (!isComment) {
      beforeLast = lastCode;
      lastCode = token;
    }
  }
  flush();
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}
