"""Which fraction with a small denominator comes closest to a number? Exact, without any rounding.

355/113 for pi is one answer, 7/12 for the fifth of the piano another, and 365 8/33 days for the
year of the Persian calendar. Results are fractions and tuples of any length; pickle keeps both.
"""

from fractions import Fraction

from psyflow import Param
from psyflow.store.pickle import PickleStore

NUMBERS = {
    "pi": Fraction("3.14159265358979323846264338327950288419716939937511"),
    "e": Fraction("2.71828182845904523536028747135266249775724709369996"),
    "square root of 2": Fraction("1.41421356237309504880168872420969807856967187537695"),
    "golden ratio": Fraction("1.61803398874989484820458683436563811772030917980576"),
    "fifth in octaves": Fraction("0.58496250072115618145373894394781650875981440769248"),
    "year in days": Fraction("365.24219"),
}

pspace = Param(number=list(NUMBERS)) * Param(max_denominator=[2**n for n in range(1, 33)])
store = PickleStore()


def continued_fraction(x):
    """Return the terms a, b, c, ... of x = a + 1/(b + 1/(c + ...))."""
    terms = [x.numerator // x.denominator]
    while x != terms[-1]:
        x = 1 / (x - terms[-1])
        terms.append(x.numerator // x.denominator)
    return tuple(terms)


def execute(number, max_denominator):
    best = NUMBERS[number].limit_denominator(max_denominator)
    return {
        "best": best,
        "error": best - NUMBERS[number],
        "terms": continued_fraction(best),
    }
