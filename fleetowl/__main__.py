"""`python -m fleetowl`."""

from fleetowl.cli import main

main()
