"""How a task stands: its states, failures and messages. Reads only. Private."""
