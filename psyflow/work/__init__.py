"""Evaluating items: claims, workers, and the supervisor of a job. Private."""
