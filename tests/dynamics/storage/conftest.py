"""What tests of archives share."""

import os

import pytest


@pytest.fixture
def unsynced(monkeypatch):
    """No test can cut the power, and waiting for the disk is most of the time these tests would take."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
