"""Euler characteristics of products of spheres and of sets of critical points: the count by which missing critical
points show.

On a closed manifold the critical sets C of a function that is not degenerate across them satisfy Σ (-1)^index(C)
χ(C) = χ (M. Morse 1925; R. Bott, "Nondegenerate critical manifolds", 1954). The images of one point under a finite
group count as often as they are different; an orbit of hidden rotations counts its own characteristic, which is that of
what a maximal torus of the rotations leaves fixed; a closed set of odd dimension counts 0.
"""

import numpy as np

from flowlab.discrete.critical.constrained_problem import Constrained
from flowlab.discrete.critical.critical_point import CriticalPoint
from flowlab.discrete.critical.lagrange_newton import Critical, polish
from flowlab.discrete.critical.sphere_product import Spheres, blocks
from flowlab.discrete.critical.symmetries import Symmetries

_ALONG = 1e-3
"""How far a point is moved along its zero modes (radians) to see whether critical points go on there: far above its
accuracy of about 1e-12.
"""
_STAYED = 0.1
"""What of that displacement the critical point found there may be off across the zero modes: a curved set leaves its
tangent by its square.
"""
_RANK = 1e-7


def of_spheres(spheres: Spheres) -> int:
    """χ of the product: 2 for every sphere of even dimension; 0 where one has an odd one."""
    return int(np.prod([2 if size % 2 else 0 for size in np.bincount(spheres.owner)]))


def of_images(con: Constrained, symmetries: Symmetries, theta: np.ndarray) -> int | None:
    """χ of all images of a critical point; None where they are too many to list, or rotations are of some of the units
    only.
    """
    if len(symmetries.orbit(theta)) and any(dim.splits for dim in symmetries.dimensions):
        return None
    W = dict(blocks(symmetries.layout, theta))
    for dim in symmetries.dimensions:
        if not dim.rotations:
            continue
        units = dim.units(W)
        left, sizes, _ = np.linalg.svd(units)
        # A torus turns all planes of units: fixed is what lies along the one axis that it leaves, where their number is
        # odd.
        if dim.size % 2 == 0 or sizes[1] > _RANK * sizes[0]:
            return 0
        W = dim.act(W, left.T)
    return symmetries.images.count(
        np.concatenate([np.ravel(W[name]) for name, _ in symmetries.layout]),
        lambda rows: con.spheres.squares(rows, rows),
    )


def of_point(con: Constrained, symmetries: Symmetries, point: CriticalPoint, end: Critical) -> int | None:
    """χ of the set that a critical point and its images belong to; None where it is degenerate, on kinks, or of an even
    dimension that no symmetry makes.
    """
    if point.kinks:
        return None
    if point.is_alone:
        return of_images(con, symmetries, end.theta)
    return 0 if point.nullity % 2 and _goes_on(con, end, point.nullity) else None


def _goes_on(con: Constrained, end: Critical, nullity: int) -> bool:
    """Whether critical points fill as many dimensions as there are zero modes: tried along each of them and one
    mixture, to both sides.
    """
    basis = con.spheres.basis(end.theta)
    values, vectors = np.linalg.eigh(con.riemannian(end.theta, basis))
    order = np.argsort(np.abs(values))
    flat, across = basis @ vectors[:, order[:nullity]], basis @ vectors[:, order[nullity:]]
    for c in np.vstack([np.eye(nullity), np.full((1, nullity), nullity**-0.5)]):
        for side in (_ALONG, -_ALONG):
            there = polish(con, con.spheres.project(end.theta + side * flat @ c))
            moved = there.theta - end.theta
            off = np.abs(np.linalg.eigvalsh(con.riemannian(there.theta, con.spheres.basis(there.theta))))
            same = int((off <= 1e-6 * off.max()).sum()) == nullity
            if there.residual > con.resolution or not same or np.linalg.norm(across.T @ moved) > _STAYED * _ALONG:
                return False
            if np.linalg.norm(flat.T @ moved - side * c) > _STAYED * _ALONG:
                return False
    return True
