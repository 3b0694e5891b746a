"""Schemes: which parametrisation of the weights follows the gradient, with its symbolic and its numeric meaning.

The symbolic meaning is a recorded derivation: a scheme is handed a `Book` that knows the velocity -∂L/∂W_k at the polar
point and an inner product with its identities, and answers with the rates of ρ_k and V_k. The numeric meaning computes
the same rates from the plain gradient g = -∂L/∂W and nothing else; the two are held against each other after every
derivation.
"""

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Any, ClassVar, Protocol, runtime_checkable

import sympy as sp

from flowlab.core.registry import Registry
from flowlab.core.typing import Array, Blocks, Namespace
from flowlab.language.norm_groups import Arrays, inner, minus, scaled

schemes: Registry[type["Scheme"]] = Registry("scheme")


@runtime_checkable
class Vector(Protocol):
    """A structural vector: a linear combination of G_k and V_k with scalar coefficients."""

    def __add__(self, other: Any) -> Any: ...
    def __sub__(self, other: Any) -> Any: ...
    def __rmul__(self, factor: Any) -> Any: ...


@runtime_checkable
class Book(Protocol):
    """Where a scheme writes its derivation (symbols are those of one generic block k)."""

    rho: sp.Symbol
    nu: sp.Symbol
    V: Any
    velocity: Any

    def inner(self, a: Any, b: Any) -> sp.Expr: ...
    def record(self, rule: str, reason: str, text: str, latex: str) -> None: ...
    def show(self, value: Any, tex: bool) -> str: ...


class NormLaw(StrEnum):
    """The function of a norm whose differences between blocks a flow keeps: ρ_k²/κ_k, or log ρ_k/κ_k."""

    SQUARE = "square"
    LOG = "log"

    def of(self, xp: Namespace, rho: Array) -> Array:
        """ρ² or log ρ, with numpy, jax.numpy or SymPy."""
        return rho**2 if self is NormLaw.SQUARE else xp.log(rho)

    def slope(self, rho: Array) -> Array:
        """Its derivative by ρ."""
        return 2 * rho if self is NormLaw.SQUARE else 1 / rho

    @property
    def has_size(self) -> bool:
        """Whether differences are small or large beside its values, which those of logarithms are not."""
        return self is NormLaw.SQUARE


class Scheme(ABC):
    """One flow of norms and directions.

    Attributes:
        normalises: True if the network sees v/‖v‖, so that directions need not have unit length.
        unit: True if ‖V_k‖ = 1 is part of the scheme, and integration keeps it.
        is_gradient_flow: True if the weights themselves follow -∂L/∂W, so that the flow is defined at zero blocks too.
        any_length: True if the equations keep ‖V_k‖ in them, so that they hold at directions of any length.
        moves_norms: False if norms stay where they are.
        norms_descend: True if dρ_k/dt = -∂L/∂ρ_k, on which the late law of log t rests.
        conserved_norm: how norms of two blocks are tied by the flow, a `NormLaw` or its name; None where they are not.
        abbreviation: what legends of figures say in place of the name, if anything.
    """

    name: ClassVar[str]
    normalises: ClassVar[bool] = False
    unit: ClassVar[bool] = True
    is_gradient_flow: ClassVar[bool] = False
    any_length: ClassVar[bool] = False
    moves_norms: ClassVar[bool] = True
    norms_descend: ClassVar[bool] = False
    conserved_norm: ClassVar[NormLaw | None] = None
    abbreviation: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.conserved_norm = None if cls.conserved_norm is None else NormLaw(cls.conserved_norm)

    @property
    def short_name(self) -> str:
        """What legends of figures call it."""
        return self.abbreviation or self.name.replace("_", " ")

    @abstractmethod
    def symbolic(self, book: Book) -> tuple[sp.Expr, Any]:
        """(ρ̇_k, V̇_k), derived step by step on the book."""

    @abstractmethod
    def numeric(self, xp: Namespace, rho: Blocks, V: Blocks, g: Blocks, per: str) -> tuple[Arrays, Arrays]:
        """(ρ̇, V̇) from g = -∂L/∂W at the state's weights, by group."""

    def balance_log_factor(self, xp: Namespace, rho: Array) -> Array | None:
        """Log μ(ρ), with μ(ρ_1)(V_1 V_1^T - V_2^T V_2) kept by the flow at unit directions (eq. 1.12);
        None where there is no such law.
        """
        return None

    def weights(self, xp: Namespace, rho: Blocks, V: Blocks, per: str) -> Arrays:
        """The weight blocks the network sees at a state."""
        if self.normalises:
            lengths = inner(V, V, per)
            V = scaled({k: 1.0 / xp.sqrt(n) for k, n in lengths.items()}, V, per)
        return scaled(rho, V, per)


def _radial(book: Book, reason: str, *, moves: bool = True) -> sp.Expr:
    """⟨V_k, -∂L/∂W_k⟩, which is the rate of ρ_k where it `moves` by its own gradient."""
    rate = book.inner(book.V, book.velocity)
    left = ("d rho_k/dt = ", r"\dot\rho_k = ") if moves else ("", "")
    book.record(
        "radial part",
        reason,
        f"{left[0]}<V_k, -dL/dW_k> = {book.show(rate, False)}",
        rf"{left[1]}\langle V_k, -\partial L/\partial W_k\rangle = {book.show(rate, True)}",
    )
    return rate


@schemes.register("gradient_flow")
class GradientFlow(Scheme):
    """W' = -∂L/∂W, split into norm and direction (Poggio, Banburski and Liao 2020; claim P2)."""

    is_gradient_flow = True
    norms_descend = True
    conserved_norm = NormLaw.SQUARE
    abbreviation = "GF"

    def symbolic(self, book: Book) -> tuple[sp.Expr, Any]:
        book.record(
            "polar split",
            "$W_k = rho_k V_k$ with $|V_k| = 1$ follows $dW_k/dt = -dL/dW_k$; differentiate both sides in time",
            "dW_k/dt = (d rho_k/dt) V_k + rho_k dV_k/dt,  <V_k, dV_k/dt> = 0",
            r"\dot W_k = \dot\rho_k V_k + \rho_k \dot V_k, \qquad \langle V_k, \dot V_k\rangle = 0",
        )
        rho_rate = _radial(
            book, "take the inner product with $V_k$: the second term drops out because $<V_k, dV_k/dt> = 0$"
        )
        V_rate = (1 / book.rho) * (book.velocity - rho_rate * book.V)
        book.record(
            "projection",
            "what is left of the velocity after its radial part, divided by $rho_k$",
            f"dV_k/dt = (1/rho_k)(dW_k/dt - (d rho_k/dt) V_k) = {book.show(V_rate, False)}",
            rf"\dot V_k = \tfrac{{1}}{{\rho_k}}\bigl(\dot W_k - \dot\rho_k V_k\bigr) = {book.show(V_rate, True)}",
        )
        return rho_rate, V_rate

    def numeric(self, xp: Namespace, rho: Blocks, V: Blocks, g: Blocks, per: str) -> tuple[Arrays, Arrays]:
        radial = inner(V, g, per)
        return radial, scaled({k: 1.0 / r for k, r in rho.items()}, minus(g, scaled(radial, V, per)), per)


class _Constrained(Scheme):
    """Gradient flow in (ρ, V) of the loss plus λ_k(‖V_k‖² - 1)."""

    def multiplier(self, book: Book) -> Any:
        """V̇_k of the constrained flow, with λ_k solved for."""
        free = book.rho * book.velocity
        book.record(
            "chain rule",
            "$W_k = rho_k V_k$, so a change of $V_k$ reaches the loss multiplied by $rho_k$",
            f"-dL/dV_k = rho_k (-dL/dW_k) = {book.show(free, False)}",
            r"-\frac{\partial L}{\partial V_k} = \rho_k\Bigl(-\frac{\partial L}{\partial W_k}\Bigr) ="
            rf" {book.show(free, True)}",
        )
        book.record(
            "Lagrange multiplier",
            "gradient flow in $V_k$ of $L + sum_k lambda_k (|V_k|^2 - 1)$",
            "dV_k/dt = -dL/dV_k - 2 lambda_k V_k",
            r"\dot V_k = -\frac{\partial L}{\partial V_k} - 2\lambda_k V_k",
        )
        unknown = sp.Symbol("lambda_k")
        V_rate = free - (2 * unknown) * book.V
        # The multiplier is what keeps the constraint: d|V|²/dt = 2<V, dV/dt> = 0 is one linear equation for it.
        solved = sp.solve(sp.Eq(book.inner(book.V, V_rate), 0), unknown)[0]
        book.record(
            "constraint",
            "$d|V_k|^2/dt = 2 <V_k, dV_k/dt> = 0$ is one linear equation for $lambda_k$; its solution",
            f"lambda_k = {book.show(solved, False)}",
            rf"\lambda_k = {book.show(solved, True)}",
        )
        V_rate = free - (2 * solved) * book.V
        book.record(
            "projection",
            "insert the multiplier",
            f"dV_k/dt = {book.show(V_rate, False)}",
            rf"\dot V_k = {book.show(V_rate, True)}",
        )
        return V_rate


@schemes.register("lagrange")
class Lagrange(_Constrained):
    """Gradient flow of the Lagrangian in (ρ, V) (Poggio, Banburski and Liao 2020; claim P3)."""

    norms_descend = True
    conserved_norm = NormLaw.SQUARE
    abbreviation = "LM"

    def balance_log_factor(self, xp: Namespace, rho: Array) -> Array | None:
        return rho**2

    def symbolic(self, book: Book) -> tuple[sp.Expr, Any]:
        rho_rate = _radial(
            book, "$dL/d rho_k = <V_k, dL/dW_k>$ by the chain rule; the constraint does not contain $rho_k$"
        )
        return rho_rate, self.multiplier(book)

    def numeric(self, xp: Namespace, rho: Blocks, V: Blocks, g: Blocks, per: str) -> tuple[Arrays, Arrays]:
        radial = inner(V, g, per)
        return radial, scaled(rho, minus(g, scaled(radial, V, per)), per)


@schemes.register("fixed_norm")
class FixedNorm(_Constrained):
    """The directions alone, at norms that are given and stay (the constrained problem at fixed R; claims P5, P13)."""

    moves_norms = False

    def symbolic(self, book: Book) -> tuple[sp.Expr, Any]:
        book.record("fixed norm", "the norms are data of the problem", "d rho_k/dt = 0", r"\dot\rho_k = 0")
        return sp.Integer(0), self.multiplier(book)

    def numeric(self, xp: Namespace, rho: Blocks, V: Blocks, g: Blocks, per: str) -> tuple[Arrays, Arrays]:
        _, rate = Lagrange().numeric(xp, rho, V, g, per)
        return {k: 0.0 * r for k, r in rho.items()}, rate


@schemes.register("tangent")
class Tangent(Scheme):
    """Tangent gradient: V̇ = S ρ g, S = I - VV^T/‖V‖², keeps any length of V (Douglas, Amari and Kung 2000)."""

    any_length = True
    norms_descend = True
    conserved_norm = NormLaw.SQUARE

    def balance_log_factor(self, xp: Namespace, rho: Array) -> Array | None:
        return rho**2

    def symbolic(self, book: Book) -> tuple[sp.Expr, Any]:
        rho_rate = _radial(book, "$dL/d rho_k = <V_k, dL/dW_k>$ by the chain rule")
        free = book.rho * book.velocity
        V_rate = free - (book.inner(book.V, free) / book.nu**2) * book.V
        book.record(
            "tangent projection",
            "$S_k = I - V_k V_k^T/|V_k|^2$ takes from $rho_k(-dL/dW_k)$ its part along $V_k$, on the sphere or off it"
            " ($nu_k = |V_k|$)",
            f"dV_k/dt = S_k (-dL/dV_k) = {book.show(V_rate, False)}",
            r"\dot V_k = \Bigl(I - \frac{V_k V_k^\top}{\nu_k^2}\Bigr)\Bigl(-\frac{\partial L}{\partial V_k}\Bigr) = "
            + book.show(V_rate, True),
        )
        return rho_rate, V_rate

    def numeric(self, xp: Namespace, rho: Blocks, V: Blocks, g: Blocks, per: str) -> tuple[Arrays, Arrays]:
        radial, lengths = inner(V, g, per), inner(V, V, per)
        along = scaled({k: radial[k] / lengths[k] for k in radial}, V, per)
        return radial, scaled(rho, minus(g, along), per)


class _Normalised(Scheme):
    """W_k = ρ_k v_k/‖v_k‖ with a free vector v_k."""

    normalises = True
    unit = False

    def direction(self, book: Book) -> Any:
        """v̇_k, from the derivative of v/‖v‖."""
        book.record(
            "reparametrisation",
            "$W_k = rho_k u_k$ with $u_k = v_k/nu_k$, $nu_k = |v_k|$; a change $dv$ moves $u$ by its part across $u$",
            "d u_k = (1/nu_k)(I - u_k u_k^T) dv_k",
            r"d u_k = \tfrac{1}{\nu_k}\,(I - u_k u_k^\top)\, dv_k, \qquad u_k = v_k/\nu_k",
        )
        across = book.velocity - book.inner(book.V, book.velocity) * book.V
        rate = (book.rho / book.nu) * across
        book.record(
            "chain rule",
            "the transpose of that map, applied to $rho_k(-dL/dW_k)$; $V_k$ stands for $u_k$",
            f"dv_k/dt = (rho_k/nu_k)(I - u_k u_k^T)(-dL/dW_k) = {book.show(rate, False)}",
            r"\dot v_k = \frac{\rho_k}{\nu_k}\,(I - u_k u_k^\top)\Bigl(-\frac{\partial L}{\partial W_k}\Bigr) = "
            + book.show(rate, True),
        )
        growth = sp.simplify(2 * book.nu * book.inner(book.V, rate))
        book.record(
            "conservation",
            "the rate has no part along $v_k$, so its length is kept by the flow exactly",
            f"d nu_k^2/dt = 2 <v_k, dv_k/dt> = {growth}",
            rf"\tfrac{{d}}{{dt}}\nu_k^2 = 2\langle v_k, \dot v_k\rangle = {growth}",
        )
        return rate

    def across(self, xp: Namespace, rho: Blocks, V: Blocks, g: Blocks, per: str) -> tuple[Arrays, Arrays]:
        lengths = {k: xp.sqrt(n) for k, n in inner(V, V, per).items()}
        unit = scaled({k: 1.0 / n for k, n in lengths.items()}, V, per)
        radial = inner(unit, g, per)
        return radial, scaled({k: rho[k] / lengths[k] for k in rho}, minus(g, scaled(radial, unit, per)), per)


@schemes.register("weight_normalization")
class WeightNormalization(_Normalised):
    """Gradient flow in (ρ, v) with W = ρ v/‖v‖ (Salimans and Kingma 2016; claim P3)."""

    norms_descend = True
    conserved_norm = NormLaw.SQUARE
    abbreviation = "WN"

    def balance_log_factor(self, xp: Namespace, rho: Array) -> Array | None:
        return rho**2

    def symbolic(self, book: Book) -> tuple[sp.Expr, Any]:
        rho_rate = _radial(book, "$dL/d rho_k = <u_k, dL/dW_k>$ by the chain rule; $V_k$ stands for $u_k = v_k/|v_k|$")
        return rho_rate, self.direction(book)

    def numeric(self, xp: Namespace, rho: Blocks, V: Blocks, g: Blocks, per: str) -> tuple[Arrays, Arrays]:
        return self.across(xp, rho, V, g, per)


@schemes.register("exponential_weight_normalization")
class ExponentialWeightNormalization(_Normalised):
    """Gradient flow in (a, v) with W = e^a v/‖v‖ (Morwani and Ramaswamy 2022; claim P12)."""

    conserved_norm = NormLaw.LOG
    abbreviation = "EWN"

    def balance_log_factor(self, xp: Namespace, rho: Array) -> Array | None:
        return 2.0 * xp.log(rho)

    def symbolic(self, book: Book) -> tuple[sp.Expr, Any]:
        radial = _radial(book, "the part of $-dL/dW_k$ along $u_k = v_k/|v_k|$, for which $V_k$ stands", moves=False)
        a = sp.Symbol("a_k", real=True)
        # ρ = e^a: dL/da = (dρ/da) dL/dρ, and ρ' = (dρ/da) a'.
        speed = sp.diff(sp.exp(a), a).subs(sp.exp(a), book.rho)
        rho_rate = sp.expand(speed**2 * radial)
        book.record(
            "chain rule",
            "$rho_k = exp(a_k)$ and $a_k$ follows its gradient, so the radial rate is multiplied by $(d rho_k/d a_k)^2"
            " = rho_k^2$",
            f"d rho_k/dt = (d rho_k/d a_k)^2 <u_k, -dL/dW_k> = {book.show(rho_rate, False)}",
            r"\dot\rho_k = \Bigl(\frac{d\rho_k}{da_k}\Bigr)^{2}\langle u_k, -\partial L/\partial W_k\rangle = "
            + book.show(rho_rate, True),
        )
        return rho_rate, self.direction(book)

    def numeric(self, xp: Namespace, rho: Blocks, V: Blocks, g: Blocks, per: str) -> tuple[Arrays, Arrays]:
        radial, rate = self.across(xp, rho, V, g, per)
        return {k: rho[k] ** 2 * radial[k] for k in radial}, rate
