"""Private: what the folder of a run says, read and written."""
