"""float64 before anything imports arrays; types are not promoted silently."""

import os

os.environ.setdefault("FLOWLAB_CACHE", "off")

import jax

jax.config.update("jax_enable_x64", True)
