"""The exact flow of networks with kinks: crossings found, sliding followed, and what is not unique said."""
