"""``python -m psyflow`` is `psy`."""

from psyflow.main import main

if __name__ == "__main__":
    main()
