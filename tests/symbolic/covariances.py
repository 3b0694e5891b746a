"""Deep linear nets of covariances, with a target of four distinct eigenvalues."""

import numpy as np

import flowlab as fl

LAM = np.array([5.0, 3.0, 1.5, 0.7])
OMEGA = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
TARGET = 0.5 * ((OMEGA * LAM) @ OMEGA.T + ((OMEGA * LAM) @ OMEGA.T).T)
DATA = {"S0": TARGET}


def product(depth):
    P = fl.weight("W1")
    for i in range(2, depth + 1):
        P = fl.weight(f"W{i}") @ P
    return P


def problem(depth, tau=0.3):
    P = product(depth)
    A = P @ P.T + tau * fl.eye if tau else P @ P.T
    return fl.Problem(fl.bures(A, fl.constant("S0")), "value")
