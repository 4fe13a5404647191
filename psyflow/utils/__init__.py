"""Home of `psyflow.utils.example`, where users of this family of tools look for it."""
