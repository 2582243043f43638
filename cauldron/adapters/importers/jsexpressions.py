"""Evaluates JavaScript expressions as far as they can be known without running anything.

Literals, references to earlier constants, member access, spreads, concatenation
and arithmetic are evaluated; whatever else stands where a value could stand
becomes an :class:`Opaque` that says what it was and where.
"""

from cauldron.adapters.importers import jsvalues
from cauldron.adapters.importers.jstokens import CLOSE, OPEN, Source, Token, pair_brackets
from cauldron.adapters.importers.jsvalues import JsValue, Opaque, Unread

MAX_DEPTH = 40
MAX_NODES = 100_000  # values inside one value, shared ones counted every time
MAX_SPENT = 4_000_000  # values and characters made while reading one file
MAX_SHOWN_CHARS = 60

_ASSIGNING = frozenset(
    ["=", "+=", "-=", "*=", "/=", "%=", "**=", "<<=", ">>=", ">>>=", "&=", "|=", "^=", "&&=", "||=", "??="]
)
_UNREAD_OPERATORS = _ASSIGNING | frozenset(["|", "&", "^", "<<", ">>", ">>>", "++", "--", "=>", "?."])
_UNREAD_WORDS = frozenset({"instanceof", "in", "as", "satisfies"})
_CONTINUES_AFTER = frozenset(
    {"new", "typeof", "void", "await", "async", "function", "class", "extends", "return"}
)
_NOT_CONTINUING = frozenset({"++", "--", "!", "~"})
_FUNCTION_WORDS = frozenset(
    {"function", "async", "class", "new", "await", "yield", "this", "super", "import"}
)


class Budget:
    """How much may be made while reading one file: references multiply what is written."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.spent = 0

    def spend(self, amount: int, offset: int) -> None:
        """Count values or characters made; raises Invalid when they are too many."""
        self.spent += amount
        if self.spent > MAX_SPENT:
            raise self.source.error(offset, "the values repeat one another too often to be written out")


class Values:
    """Evaluates expressions of a token list against the constants known so far."""

    def __init__(
        self, source: Source, tokens: list[Token], *, scope: dict[str, JsValue], budget: Budget | None = None
    ) -> None:
        self.source, self.tokens, self.scope = source, tokens, scope
        self.budget = budget or Budget(source)
        self.pairs = pair_brackets(source, tokens)
        self.at = 0
        self.depth = 0
        self._nodes: dict[int, int] = {}  # id of a list or dict -> values inside it
        self._kept: list[JsValue] = []  # keeps those ids from being used again

    # --- moving over tokens

    def peek(self, ahead: int = 0) -> Token:
        """The token ``ahead`` of the present one; the end token beyond the end."""
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def is_operator(self, *texts: str, ahead: int = 0) -> bool:
        """Whether the token ``ahead`` is one of these operators."""
        token = self.peek(ahead)
        return token.kind == "operator" and token.text in texts

    def accept(self, text: str) -> bool:
        """Step over the operator ``text`` if it comes next."""
        found = self.is_operator(text)
        self.at += found
        return found

    def expect(self, *texts: str) -> str:
        """Step over one of these operators; anything else is Invalid."""
        if not self.is_operator(*texts):
            wanted = " or ".join(repr(text) for text in texts)
            found = repr(self.peek().text[:MAX_SHOWN_CHARS]) if self.peek().kind != "end" else "the end"
            raise self.source.error(self.peek().start, f"{wanted} expected, not {found}")
        self.at += 1
        return self.tokens[self.at - 1].text

    def step_over(self) -> None:
        """Step over one token, or over a whole bracket."""
        self.at = self.pairs.get(self.at, self.at) + 1

    def shown(self, start: int) -> str:
        """The source from token ``start`` to here, on one line and cut short."""
        begin, end = self.tokens[start].start, self.tokens[max(start, self.at - 1)].stop
        text = " ".join(self.source.text[begin : min(end, begin + 4 * MAX_SHOWN_CHARS)].split())
        return text if len(text) <= MAX_SHOWN_CHARS else text[: MAX_SHOWN_CHARS - 1] + "…"

    def skip_expression(self) -> None:
        """Step to what ends the expression: a comma, semicolon, bracket or line."""
        first = True
        while self.peek().kind != "end" and not self.is_operator(",", ";", *CLOSE):
            if not first and self._line_ends_here():
                return
            self.step_over()
            first = False

    def _line_ends_here(self) -> bool:
        """Whether JavaScript would put a semicolon before the present token."""
        token, before = self.peek(), self.tokens[self.at - 1]
        if not token.after_newline:
            return False
        if before.kind == "operator" and before.text not in CLOSE:
            return False
        if before.kind == "name" and before.text in _CONTINUES_AFTER:
            return False
        if token.kind == "operator":
            return token.text in _NOT_CONTINUING
        return token.kind != "template" and token.text not in _UNREAD_WORDS

    # --- values

    def value(self) -> JsValue:
        """The value of the expression that begins here; Opaque when it is not known.

        Raises:
            Invalid: the text is no expression at all, or nests deeper than 40.
        """
        start, depth = self.at, self.depth
        self._deeper()
        try:
            return self._known_value()
        except Unread as unread:
            self.at = start
            self.skip_expression()
            return self.opaque(start, str(unread))
        finally:
            self.depth = depth

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.source.error(self.peek().start, f"nested deeper than {MAX_DEPTH}")

    def opaque(self, start: int, reason: str, *, result: JsValue = None) -> Opaque:
        """An Opaque for the tokens from ``start`` to here."""
        line = self.source.line(self.tokens[start].start)
        return Opaque(reason=reason, line=line, text=self.shown(start), result=result)

    def _known_value(self) -> JsValue:
        if self._is_arrow():
            return self._arrow()
        value = self._ternary()
        token = self.peek()
        if token.kind == "operator" and token.text in _UNREAD_OPERATORS:
            raise Unread(f"uses {token.text}")
        if token.kind == "template" or (token.kind == "name" and token.text in _UNREAD_WORDS):
            raise Unread(f"uses {token.text[:MAX_SHOWN_CHARS]}")
        return value

    def _is_arrow(self) -> bool:
        if self.peek().kind == "name":
            return self.is_operator("=>", ahead=1)
        after = self.pairs.get(self.at, self.at) - self.at + 1
        return self.is_operator("(") and self.is_operator("=>", ahead=after)

    def _arrow(self) -> JsValue:
        """A function; what it returns is read when it takes nothing and is one expression."""
        start = self.at
        takes_nothing = self.is_operator("(") and self.pairs[self.at] == self.at + 1
        if not takes_nothing or self.is_operator("{", ahead=3):
            raise Unread("is a function")
        self.at += 3
        result = self.value()
        return self.opaque(start, "is a function", result=result)

    def _ternary(self) -> JsValue:
        condition = self._binary(1)
        if not self.accept("?"):
            return condition
        self._deeper()  # undone by value(), which everything stands in
        yes = self._known_value()
        self.expect(":")
        no = self._known_value()
        return yes if jsvalues.truthy(condition) else no

    def _binary(self, least: int) -> JsValue:
        left = self._unary()
        while True:
            token = self.peek()
            rank = jsvalues.RANKS.get(token.text, 0) if token.kind == "operator" else 0
            if not rank or rank < least:
                return left
            self.at += 1
            if token.text == "**":
                self._deeper()  # groups to the right
            right = self._binary(rank + (token.text != "**"))
            left = jsvalues.binary(token.text, left, right)
            self.budget.spend(len(left) if isinstance(left, str) else 1, token.start)

    def _unary(self) -> JsValue:
        signs: list[str] = []
        while self.is_operator("-", "+", "!") or (self.peek().kind == "name" and self.peek().text == "void"):
            signs.append(self.peek().text)
            self.at += 1
        value = self._member(self._primary())
        for sign in reversed(signs):
            value = jsvalues.unary(sign, value)
        return value

    def _member(self, value: JsValue) -> JsValue:
        """Follow ``.name`` and ``[key]`` from ``value``."""
        while True:
            if self.is_operator("("):
                raise Unread("calls a function")
            if self.is_operator("."):
                self.at += 2
                value = jsvalues.member(value, self.tokens[self.at - 1].text)
            elif self.accept("["):
                key = self.value()
                self.expect("]")
                value = jsvalues.member(value, key)
            else:
                return value

    def _primary(self) -> JsValue:
        token = self.peek()
        if token.kind == "name":
            return self._name(token)
        self.at += 1
        match token.kind, token.text:
            case "number", _:
                return jsvalues.finite(token.value)
            case "string", _:
                return str(token.value)
            case "template", _:
                return self._template(token)
            case "regex", _:
                raise Unread("is a regular expression")
            case "operator", "[":
                return self._array()
            case "operator", "{":
                return self._object()
            case "operator", "(":
                return self._parenthesized()
            case "operator", "~" | "++" | "--" | "<":
                raise Unread(f"uses {token.text}")
        found = repr(token.text) if token.kind != "end" else "the end"
        raise self.source.error(token.start, f"a value expected, not {found}")

    def _parenthesized(self) -> JsValue:
        value = self.value()
        if self.is_operator(","):
            raise Unread("uses a comma")
        self.expect(")")
        return value

    def _name(self, token: Token) -> JsValue:
        constants = {"true": True, "false": False, "null": None, "undefined": None}
        if token.text == "Object" and [t.text for t in self.tokens[self.at + 1 : self.at + 4]] == [
            ".",
            "freeze",
            "(",
        ]:
            self.at += 4
            return self._parenthesized()
        if token.text in _FUNCTION_WORDS:
            raise Unread("is a function" if token.text in ("function", "async") else f"uses {token.text}")
        self.at += 1
        if token.text in constants:
            return constants[token.text]
        if token.text in self.scope:
            return self.scope[token.text]
        if self.is_operator("("):
            raise Unread("calls a function")
        raise Unread(f"refers to {token.text}, which is not known here")

    def _template(self, token: Token) -> str:
        text = ""
        for part in token.value:
            if isinstance(part, str):
                text = jsvalues.joined(text, part)
                continue
            inner = Values(self.source, part, scope=self.scope, budget=self.budget)
            inner.depth = self.depth
            value = inner.value()
            if inner.peek().kind != "end":
                raise self.source.error(inner.peek().start, "a template holds more than one expression")
            text = jsvalues.joined(text, value)
            self.budget.spend(len(text), token.start)
        return text

    def _array(self) -> JsValue:
        items: list[JsValue] = []
        while not self.accept("]"):
            if self.is_operator(","):
                raise Unread("has holes")
            if self.accept("..."):
                items += self._spread_items()
            else:
                items.append(self.value())
            if len(items) > MAX_NODES:
                raise Unread(f"holds more than {MAX_NODES} values")
            if not self.is_operator("]"):
                self.expect(",", "]")
        return self._weighed(items, items)

    def _spread_items(self) -> list[JsValue]:
        value = self.value()
        if not isinstance(value, list):
            raise Unread("spreads something that is no known list")
        return value

    def _object(self) -> JsValue:
        entries: dict[str, JsValue] = {}
        while not self.accept("}"):
            self._property(entries)
            if not self.is_operator("}"):
                self.expect(",", "}")
        return self._weighed(entries, list(entries.values()))

    def _property(self, entries: dict[str, JsValue]) -> None:
        start = self.at
        if self.accept("..."):
            value = self.value()
            entries.update(value if isinstance(value, dict) else {self.shown(start): value})
            return
        key = self._key()
        if self.accept(":"):
            value = self.value()
            entries[self.shown(start) if key is None else key] = (
                self.opaque(start, "has a computed name") if key is None else value
            )
        elif key is not None and self.is_operator(",", "}") and self.tokens[self.at - 1].kind == "name":
            unknown = self.opaque(start, f"refers to {key}, which is not known here")
            entries[key] = self.scope.get(key, unknown)
        else:
            self._method(entries, start)

    def _key(self) -> str | None:
        """A property's name; None for one that is computed from what is not known."""
        token = self.peek()
        self.at += 1
        if token.kind == "name":
            return token.text
        if token.kind == "string":
            return str(token.value)
        if token.kind == "number" and isinstance(token.value, int):
            return str(token.value)
        if token.kind == "operator" and token.text == "[":
            key = self.value()
            self.expect("]")
            return key if isinstance(key, str) else None
        if token.kind == "operator" and token.text == "*":
            return None
        raise self.source.error(
            token.start, f"a property name expected, not {token.text[:MAX_SHOWN_CHARS]!r}"
        )

    def _method(self, entries: dict[str, JsValue], start: int) -> None:
        """Step over ``name() {…}``, ``get name() {…}`` and other things with a body."""
        before = self.at
        self.skip_expression()
        if self.at == before or not any(t.text in OPEN for t in self.tokens[before : self.at]):
            raise self.source.error(self.tokens[before].start, "':' expected after a property name")
        entries[self.tokens[start].text[:MAX_SHOWN_CHARS]] = self.opaque(start, "is a function")

    def _weighed(self, made: JsValue, inside: list[JsValue]) -> JsValue:
        """``made``, refused when it holds too much once written out in full."""
        nodes = 1 + sum(self._nodes.get(id(value), 1) for value in inside)
        if nodes > MAX_NODES:
            raise Unread(f"holds more than {MAX_NODES} values")
        self.budget.spend(nodes, self.tokens[self.at - 1].start)
        self._nodes[id(made)] = nodes
        self._kept.append(made)
        return made
