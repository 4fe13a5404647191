"""Engines: what evaluates psets elsewhere without shared files, and how it is talked to."""
