"""`python -m earmark` runs the command line, as `earmark` does."""

from earmark.cli import main

main()
