/** Tokens of the IR's text, scanned by hand: one pass, no regular expression that could backtrack over hostile text. */
import { fail, type Position, type Span } from "../diagnostics/index.js";

export type TokenKind = "word" | "number" | "string" | "value" | "at" | "punct" | "bad" | "end";

export interface Token {
  readonly kind: TokenKind;
  /** Decoded: names without `%` and `@`, strings without quotes. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
  /** True when a line break stands before the token. */
  readonly newLine: boolean;
}

type Scanned = Omit<Token, "newLine">;

const isDigit = (c: number): boolean => c >= 48 && c <= 57;
const isLetter = (c: number): boolean => (c >= 65 && c <= 90) || (c >= 97 && c <= 122) || c === 95;
/** Within a word: letters, digits, `.` and `-`. */
const isWordPart = (c: number): boolean => isLetter(c) || isDigit(c) || c === 46 || c === 45;
const SLASH = 47;
const QUOTE = 34;

export interface Lexer {
  /** The token ahead. */
  readonly token: Token;
  /** Comment texts before the current token, in order, without `//`. */
  readonly comments: readonly string[];
  next(): Token;
  /** Reads on from the start of the token ahead while `accept` holds, as one raw text. */
  raw(accept: (charCode: number) => boolean): string;
  /** Throws CEC4002 with line and column of the token ahead, or of `at`. */
  error(message: string, why?: string, at?: Token): never;
}

/** Line and column, both 1-based, of an offset. */
export function positionOf(text: string, offset: number): Position {
  let line = 1;
  let from = 0;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) {
    line++;
    from = at + 1;
  }
  return { line, column: offset - from + 1, offset };
}

export function createLexer(text: string, file: string): Lexer {
  const comments: string[] = [];
  let pos = 0;

  const skip = (): void => {
    for (;;) {
      const c = text.charCodeAt(pos);
      if (c === 32 || c === 10 || c === 13 || c === 9) pos++;
      else if (c === SLASH && text.charCodeAt(pos + 1) === SLASH) {
        const end = text.indexOf("\n", pos);
        comments.push(text.slice(pos + 2, end < 0 ? text.length : end).trim());
        pos = end < 0 ? text.length : end;
      } else return;
    }
  };

  /** The end of a string that starts at `from`, or -1 when its line ends first. */
  const stringEnd = (from: number): number => {
    for (let i = from + 1; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (c === 92) i++;
      else if (c === QUOTE) return i + 1;
      else if (c === 10) return -1;
    }
    return -1;
  };

  const unquote = (from: number, to: number): string | null => {
    try {
      return JSON.parse(text.slice(from, to)) as string;
    } catch {
      return null;
    }
  };

  const quoted = (kind: TokenKind, start: number, from: number): Scanned => {
    const end = stringEnd(from);
    const decoded = end < 0 ? null : unquote(from, end);
    if (decoded === null)
      return { kind: "bad", text: end < 0 ? "a string that does not end on its line" : "a malformed string", start, end: from + 1 };
    return { kind, text: decoded, start, end };
  };

  /** A name after `%` or `@`: bare up to the first character that no bare name has, or quoted. */
  const name = (kind: "value" | "at", start: number): Scanned => {
    const from = start + 1;
    if (text.charCodeAt(from) === QUOTE) return quoted(kind, start, from);
    let end = from;
    for (; end < text.length; end++) {
      const c = text.charCodeAt(end);
      if (isWordPart(c) || c === 36) continue;
      if (c !== SLASH || text.charCodeAt(end + 1) === SLASH) break;
    }
    return end === from
      ? { kind: "bad", text: `\`${text[start]}\` without a name`, start, end: from }
      : { kind, text: text.slice(from, end), start, end };
  };

  const number = (start: number): Scanned => {
    let end = start;
    if (text.charCodeAt(end) === 45) end++;
    if (text.startsWith("inf", end) && !isWordPart(text.charCodeAt(end + 3)))
      return { kind: "number", text: text.slice(start, end + 3), start, end: end + 3 };
    while (end < text.length) {
      const c = text.charCodeAt(end);
      const sign = (c === 45 || c === 43) && (text.charCodeAt(end - 1) | 32) === 101;
      if (!isDigit(c) && c !== 46 && (c | 32) !== 101 && !sign) break;
      end++;
    }
    const found = text.slice(start, end);
    const ok = /^-?\d+(\.\d*)?([eE][+-]?\d+)?$/.test(found);
    return ok
      ? { kind: "number", text: found, start, end }
      : { kind: "bad", text: `\`${found.slice(0, 20)}\`, which is no number`, start, end: Math.max(end, start + 1) };
  };

  const scan = (): Token => {
    const before = pos;
    skip();
    const newLine = text.slice(before, pos).includes("\n");
    return { ...scanAt(pos), newLine };
  };

  const scanAt = (start: number): Scanned => {
    if (start >= text.length) return { kind: "end", text: "the end of the text", start, end: start };
    const c = text.charCodeAt(start);
    if (isLetter(c)) {
      let end = start + 1;
      while (end < text.length && isWordPart(text.charCodeAt(end))) end++;
      return { kind: "word", text: text.slice(start, end), start, end };
    }
    if (isDigit(c) || c === 45) return number(start);
    if (c === QUOTE) return quoted("string", start, start);
    if (c === 37) return name("value", start);
    if (c === 64) return name("at", start);
    const char = text[start] as string;
    if ("{}[](),:;=<>?*".includes(char)) return { kind: "punct", text: char, start, end: start + 1 };
    return { kind: "bad", text: `the character ${JSON.stringify(String.fromCodePoint(text.codePointAt(start) as number))}`, start, end: start + 1 };
  };

  let token: Token = { kind: "end", text: "", start: 0, end: 0, newLine: true };
  const lexer: Lexer = {
    get token() {
      return token;
    },
    comments,
    next() {
      const was = token;
      pos = token.end;
      token = scan();
      return was;
    },
    raw(accept) {
      pos = token.start;
      while (pos < text.length && accept(text.charCodeAt(pos))) pos++;
      const found = text.slice(token.start, pos);
      token = scan();
      return found;
    },
    error(message, why, at = token) {
      const start = positionOf(text, at.start);
      const width = Math.max(0, at.end - at.start);
      const span: Span = { file, start, end: { line: start.line, column: start.column + width, offset: at.end } };
      fail("CEC4002", {
        message: `${file}:${start.line}:${start.column}: ${message}`,
        span,
        ...(why === undefined ? {} : { why }),
        help: "`cec explain CEC4002` tells where the text form is described",
      });
    },
  };
  lexer.next();
  return lexer;
}
