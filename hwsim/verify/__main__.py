"""`python -m hwsim.verify`: files of test vectors against an engine."""

from hwsim.verify.command import main

main()
