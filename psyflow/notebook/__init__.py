"""`psy run` for those who sit at a notebook, or write a script: `psyflow.run`. Private."""
