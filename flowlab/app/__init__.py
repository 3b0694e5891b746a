"""The application behind the command line: specifications and whole runs."""
