"""Tables of results as text: for people, and for other programs. Private."""
