"""The commands of `flowlab`, by what they work on; each imports what is heavy when it is called."""
