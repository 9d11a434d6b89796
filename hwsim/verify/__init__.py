"""Holds an engine to answers that are not its own: files of test vectors, read safely and compared field by field.

    python -m hwsim.verify CASES.json.gz --engine fast

    case_file   bytes to JSON, bounded            format    what a format of vectors must offer, and what a difference is
    formats     FORMATS, the known formats        engines   what runs a core by itself: fast, reference, rtl
    verifier    cases against an engine           command   the command line

Each format is one file and one line in `formats`. docs/formats/vectors.md describes them field by field.
"""

from hwsim.verify.format import Difference, VerifyError
from hwsim.verify.verifier import Outcome, verify

__all__ = ["Difference", "Outcome", "VerifyError", "verify"]
