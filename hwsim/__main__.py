"""`python -m hwsim`: the command line."""

from hwsim.cli import main

main()
