"""The command line: the only package that knows doit, and the only one that talks to a terminal.

Nothing heavy is imported before a command runs: ``psy --help`` needs argparse alone.
"""
