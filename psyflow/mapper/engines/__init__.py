"""What evaluates psets: each in a module of its own, and by its name in `named`."""
