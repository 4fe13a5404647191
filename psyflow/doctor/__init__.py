"""Whether this place is fit for jobs. Private."""
