"""What figures and diagrams are drawn of, and the kinds of results that are trajectories."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from flowlab.language.network import Network
from flowlab.language.problem import Problem

TRAINING = "training"
"""The kind of checkpoints of a training of the user's own."""
RUNS = ("flow", "descent", TRAINING)
"""Kinds of results that are trajectories."""


@runtime_checkable
class ResultLike(Protocol):
    """Anything with numbers of a problem that a figure may be of."""

    @property
    def kind(self) -> str: ...

    @property
    def problem(self) -> Problem: ...


@runtime_checkable
class Law(Protocol):
    """A quantity that a flow keeps."""

    @property
    def blocks(self) -> tuple[str, ...]: ...

    @property
    def latex(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def where(self) -> tuple[str, str]: ...


@runtime_checkable
class Derived(Protocol):
    """The equations of a problem, with what its flow keeps."""

    @property
    def problem(self) -> Problem: ...

    @property
    def conserved(self) -> Sequence[Law]: ...


Drawable: TypeAlias = Network | Problem | Derived | ResultLike
"""What a diagram is drawn of."""
