"""Programs that tests of `psy exec` run."""

from __future__ import annotations

MAIN = """\
#!/usr/bin/env python3

import sys

# Read input parameters
hidden_neurons      = sys.argv[1]
activation_function = sys.argv[2]

# Pretend we have done something for a long time
print("Loading dataset...")
print("Applying transformations...")
print("Training model...")
print("Evaluating model...")

w = abs(int(hidden_neurons) + len(activation_function)) / 10
train_accuracy = 0.9 + 0.1 / (1+  w)
test_accuracy  = 0.9 + 0.1 / (1+2*w)

# Print relevant results
print("Results:")
print(f"    Train accuracy: {train_accuracy:.3f}")
print(f"    Test accuracy:  {test_accuracy:.3f}")
"""
"""The program of the text."""

SIM = '#!/bin/sh\necho "$*" >> calls.log\necho $#\nprintf "%s\\n" "$@"\n'
"""Notes its arguments in the folder where it starts, and prints how many and which they are."""
