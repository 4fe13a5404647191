"""Which nearest-neighbour classifier reads handwritten digits best? 3000 of them, cross-validated.

The distances of one (distance, fold) serve 75 psets. Those two names stand first, so that their
psets are neighbours in the space and mostly meet the same worker, which remembers the distances.
"""

import numpy as np
from knn import classify, confusion_matrix

from psyflow import Param
from psyflow.backend import LoadBalancingBackend
from psyflow.store.h5 import H5Store

pspace = (
    Param(distance=[1.0, 2.0, 3.0, np.inf])  # order of the Minkowski distance
    * Param(fold=range(10))
    * Param(weighting=[0.0, 1.0, 2.0])  # how fast a vote falls off with distance; 0: not at all
    * Param(k=range(1, 26))
)
backend = LoadBalancingBackend
store = H5Store()
file_dep = ["data/digits.csv.gz"]


def execute(distance, fold, weighting, k):
    labels, guesses = classify(distance, fold, weighting, k)
    return {
        "accuracy": np.mean(labels == guesses),
        "confusion": confusion_matrix(labels, guesses),
    }
