"""What became of items: records of it, shards, and the table that they make. Private."""
