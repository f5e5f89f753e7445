"""Own the declarations of a shader, read from its text.

A parser of the grammar's module scope (directives, structures, constants, variables, functions);
statements are not parsed beyond their nesting and the variables they declare.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from webslm.compiler.wgsl.tokens import Token, WgslError, tokens

_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Type:
    """A type as it is written: ``array<vec4<f32>, 256>`` has a type and a number as arguments."""

    name: str
    arguments: tuple[Type | int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable of a module or a function."""

    name: str
    space: str
    """storage, uniform, workgroup, private or function."""
    type: Type | None
    """None where it follows from the value."""
    group: int | None = None
    binding: int | None = None


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function; an entry point when it has a workgroup size."""

    name: str
    workgroup_size: tuple[int, int, int] | None
    variables: tuple[Variable, ...]
    depth: int
    """Braces within braces of the body, its own included."""


@dataclass(kw_only=True)
class Module:
    """The declarations of one shader, in the order of the text."""

    enabled: set[str] = field(default_factory=set)
    structures: dict[str, tuple[Type, ...]] = field(default_factory=dict)
    """Types of the members, by name."""
    aliases: dict[str, Type] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    """Every word of the text, comments aside."""


def parse(text: str) -> Module:
    """Read a shader.

    Raises:
        WgslError: Names the line and what was expected there.
    """
    found = tokens(text)
    module = Module(words={token.text for token in found if token.kind == "word"})
    reader = _Reader(found, module)
    while reader.more():
        reader.declaration()
    return module


class _Reader:
    """A cursor over tokens that fills a module."""

    def __init__(self, found: list[Token], module: Module) -> None:
        self._found = [*found, Token("end", "", found[-1].line if found else 1)]
        self._at = 0
        self._module = module

    def more(self) -> bool:
        return self._found[self._at].kind != "end"

    def declaration(self) -> None:
        attributes = self._attributes()
        word = self._next().text
        if word in ("enable", "requires"):
            self._enable()
        elif word == "struct":
            self._structure()
        elif word == "alias":
            name = self._name()
            self._expect("=")
            self._module.aliases[name] = self._type()
            self._expect(";")
        elif word == "var":
            self._module.variables.append(self._variable(attributes))
            self._skip_to(";")
        elif word in ("const", "override"):
            self._constant(word)
        elif word == "fn":
            self._function(attributes)
        elif word in ("diagnostic", "const_assert"):
            self._skip_to(";")
        elif word != ";":
            raise self._unexpected(word, "a declaration")

    def _attributes(self) -> dict[str, list[Token]]:
        found: dict[str, list[Token]] = {}
        while self._take("@"):
            name = self._name()
            found[name] = self._bracketed() if self._peek() == "(" else []
        return found

    def _enable(self) -> None:
        while not self._take(";"):
            self._module.enabled.add(self._name())
            self._take(",")

    def _structure(self) -> None:
        name, members = self._name(), []
        self._expect("{")
        while not self._take("}"):
            self._attributes()
            self._name()
            self._expect(":")
            members.append(self._type())
            self._take(",")
        self._module.structures[name] = tuple(members)

    def _variable(self, attributes: dict[str, list[Token]], default: str = "private") -> Variable:
        space = default
        if self._take("<"):
            space = self._name()
            if self._take(","):
                self._name()
            self._expect(">")
        name = self._name()
        kind = self._type() if self._take(":") else None
        group, binding = (
            self._number(attributes[key]) if key in attributes else None
            for key in ("group", "binding")
        )
        return Variable(name=name, space=space, type=kind, group=group, binding=binding)

    def _constant(self, word: str) -> None:
        name = self._name()
        value = self._skip_to(";")
        equals = [place for place, token in enumerate(value) if token.text == "="]
        if word == "const" and equals and len(value) == equals[0] + 2:
            # Any other expression is no size, and a use of it as one is refused there.
            number = value[-1]
            if re.fullmatch(r"\d+[iu]?|0[xX][\da-fA-F]+[iu]?", number.text):
                self._module.constants[name] = self._number([number])

    def _function(self, attributes: dict[str, list[Token]]) -> None:
        name = self._name()
        self._bracketed()
        if self._take("->"):
            self._attributes()
            self._type()
        start = self._at
        body = self._bracketed()
        end, variables = self._at, []
        depth = level = 1
        for place, token in enumerate(body, start=start + 1):
            level += {"{": 1, "}": -1}.get(token.text, 0)
            depth = max(depth, level)
            if token.text == "var" and token.kind == "word":
                self._at = place + 1
                variables.append(self._variable({}, "function"))
        self._at = end
        size = self._workgroup_size(attributes.get("workgroup_size"))
        self._module.functions.append(
            Function(name=name, workgroup_size=size, variables=tuple(variables), depth=depth)
        )

    def _workgroup_size(self, given: list[Token] | None) -> tuple[int, int, int] | None:
        if given is None:
            return None
        sizes = [self._number([token]) for token in given if token.text != ","]
        x, y, z = (*sizes, 1, 1)[:3]
        return x, y, z

    def _type(self) -> Type:
        name = self._name()
        arguments: list[Type | int] = []
        if self._take("<"):
            while not self._take(">"):
                arguments.append(self._argument())
                self._take(",")
        return Type(name, tuple(arguments))

    def _argument(self) -> Type | int:
        token = self._found[self._at]
        if token.kind == "number" or token.text in self._module.constants:
            return self._number([self._next()])
        return self._type()

    def _number(self, given: list[Token]) -> int:
        text = given[0].text if len(given) == 1 else " ".join(token.text for token in given)
        if text in self._module.constants:
            return self._module.constants[text]
        try:
            return int(text.rstrip("iu"), 0)
        except ValueError:
            line = given[0].line if given else self._found[self._at].line
            raise WgslError(f"line {line}: {text!r} is no whole number known here") from None

    def _bracketed(self) -> list[Token]:
        """Take a bracket with all it holds; return what stands inside."""
        opening = self._next()
        if opening.text not in _CLOSING:
            raise self._unexpected(opening.text, "an opening bracket")
        start, wanted = self._at, [_CLOSING[opening.text]]
        while wanted:
            token = self._next()
            if token.text in _CLOSING:
                wanted.append(_CLOSING[token.text])
            elif token.text in _CLOSING.values() and token.text != wanted.pop():
                raise self._unexpected(token.text, "another bracket")
        return self._found[start : self._at - 1]

    def _skip_to(self, sign: str) -> list[Token]:
        start = self._at
        while not self._take(sign):
            if self._peek() in _CLOSING:
                self._bracketed()
            else:
                self._next()
        return self._found[start : self._at - 1]

    def _peek(self) -> str:
        return self._found[self._at].text

    def _next(self) -> Token:
        token = self._found[self._at]
        if token.kind == "end":
            raise WgslError(f"line {token.line}: the text ends early")
        self._at += 1
        return token

    def _take(self, sign: str) -> bool:
        if self._peek() != sign:
            return False
        self._at += 1
        return True

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise self._unexpected(self._next().text, repr(sign))

    def _name(self) -> str:
        token = self._next()
        if token.kind != "word":
            raise self._unexpected(token.text, "a name")
        return token.text

    def _unexpected(self, found: str, wanted: str) -> WgslError:
        return WgslError(f"line {self._found[self._at - 1].line}: {found!r} instead of {wanted}")
