"""Formulas as LaTeX maths, as print has them: fractions, powers, Greek letters, subscripts."""

import ast
from collections.abc import Mapping
from typing import Any

from workbench.declare.written.declaration import parsed
from workbench.declare.written.expression import Expression

_GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split()
)
_NAMED = frozenset("exp log sin cos tan sinh cosh tanh arcsin arccos arctan".split())
_SIGNS: dict[type, str] = {ast.Lt: "<", ast.LtE: r"\le", ast.Gt: ">", ast.GtE: r"\ge"}
_SUM, _PRODUCT, _POWER, _ATOM = range(4)  # how tightly a piece holds together


def name_text(name: str) -> str:
    r"""Return a name as LaTeX: "k_el" gives k_{\mathrm{el}}."""
    head, _, tail = name.partition("_")
    if not head:
        return rf"\mathrm{{{_plain(name)}}}"
    base = f"\\{head}" if head in _GREEK else head if len(head) == 1 else rf"\mathrm{{{head}}}"
    return f"{base}_{{{name_text(tail) if tail in _GREEK else rf'\mathrm{{{_plain(tail)}}}'}}}" if tail else base


def _plain(text: str) -> str:
    return text.replace("_", r"\,")


def latex(expression: Expression) -> str:
    """Return a formula as LaTeX maths without dollars."""
    return _piece(expression.tree)[0]


def equations(plain: Mapping[str, Any]) -> list[str]:
    """Return the equations of a written declaration as LaTeX, one for each state and output."""
    made = []
    for method, sheet in plain["equations"].items():
        for name, expression in parsed(plain, method, sheet).items():
            made.append(f"{left_side(method, name)} = {latex(expression)}")
    return made


def left_side(method: str, name: str) -> str:
    """Return what stands left of the equals sign in an equation of a method."""
    outer, _, inner = name.partition(".")
    symbol = name_text(inner or outer)
    match method:
        case "rhs":
            return rf"\frac{{d {symbol}}}{{d t}}"
        case "step":
            return rf"{symbol}(t + \Delta t)"
        case "residual":
            return "0"
        case "start":
            return rf"{symbol}(0)"
        case "events":
            return rf"\mathrm{{event}}\ {symbol}: 0"
        case "reset":
            return rf"{symbol} \mathrm{{\,after\,}} {name_text(outer)}"
    return symbol


def _in(node: ast.expr, least: int) -> str:
    text, tightness = _piece(node)
    return text if tightness >= least else rf"\left({text}\right)"


def _piece(node: ast.expr) -> tuple[str, int]:
    match node:
        case ast.Constant():
            return _number(float(node.value)), _ATOM  # type: ignore[arg-type]
        case ast.Name():
            return name_text(node.id), _ATOM
        case ast.UnaryOp():
            return ("-" if isinstance(node.op, ast.USub) else "") + _in(node.operand, _PRODUCT), _SUM
        case ast.Compare():
            sign = _SIGNS[type(node.ops[0])]
            return f"{_in(node.left, _SUM)} {sign} {_in(node.comparators[0], _SUM)}", _SUM
        case ast.BinOp():
            return _binary(node)
        case ast.Call(func=ast.Name(id=name)):
            return _call(name, node.args)
    raise AssertionError(f"{type(node).__name__} was let through")


def _binary(node: ast.BinOp) -> tuple[str, int]:
    left, right = node.left, node.right
    match node.op:
        case ast.Add():
            return f"{_in(left, _SUM)} + {_in(right, _SUM)}", _SUM
        case ast.Sub():
            return f"{_in(left, _SUM)} - {_in(right, _PRODUCT)}", _SUM
        case ast.Mult():
            sign = r" \cdot " if isinstance(right, ast.Constant) else r"\, "
            return f"{_in(left, _PRODUCT)}{sign}{_in(right, _PRODUCT)}", _PRODUCT
        case ast.Div():
            return rf"\frac{{{_piece(left)[0]}}}{{{_piece(right)[0]}}}", _PRODUCT
        case ast.Pow():
            return f"{_in(left, _ATOM)}^{{{_piece(right)[0]}}}", _POWER
        case ast.Mod():
            return rf"{_in(left, _PRODUCT)} \bmod {_in(right, _PRODUCT)}", _PRODUCT
    word = r"\wedge" if isinstance(node.op, ast.BitAnd) else r"\vee"
    return rf"{_in(left, _SUM)} {word} {_in(right, _SUM)}", _SUM


def _call(name: str, arguments: list[ast.expr]) -> tuple[str, int]:
    texts = [_piece(argument)[0] for argument in arguments]
    if name == "where":
        rows = rf"{texts[1]} & \mathrm{{if}}\ {texts[0]} \\ {texts[2]} & \mathrm{{otherwise}}"
        return rf"\begin{{cases}}{rows}\end{{cases}}", _PRODUCT
    if name == "sqrt":
        return rf"\sqrt{{{texts[0]}}}", _ATOM
    if name in ("abs", "absolute"):
        return rf"\left|{texts[0]}\right|", _ATOM
    if name == "power":
        return f"{_in(arguments[0], _ATOM)}^{{{texts[1]}}}", _POWER
    word = {"minimum": r"\min", "maximum": r"\max"}.get(name, f"\\{name}" if name in _NAMED else rf"\mathrm{{{name}}}")
    return rf"{word}\left({', '.join(texts)}\right)", _PRODUCT


def _number(value: float) -> str:
    text = f"{value:.6g}"
    mantissa, e, exponent = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if e else text
