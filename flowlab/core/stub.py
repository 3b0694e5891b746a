"""Print the stub of the package: `python -m flowlab.core.stub > flowlab/__init__.pyi`."""

import sys

from flowlab.core.public import stub

if __name__ == "__main__":
    sys.stdout.write(stub())
