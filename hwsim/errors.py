"""The one base of every error that hwsim raises on purpose: bad input, told once and clearly."""


class HwsimError(ValueError):
    """Something the user gave cannot be; the text names file, place, found, expected and what to do."""
