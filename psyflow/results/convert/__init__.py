"""What becomes of a table of results in other libraries. Private."""
