"""`python -m flowlab`: the command line."""

from flowlab.cli import main

main()
