"""The commands of `psy`: one module each, with ``execute(arguments) -> exit code``."""
