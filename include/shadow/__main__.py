"""`python -m include.shadow`."""

from include.shadow.cli import main

main()
