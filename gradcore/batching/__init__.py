"""Arrays of a whole batch that look like those of one sample, and the Namespace over them."""
