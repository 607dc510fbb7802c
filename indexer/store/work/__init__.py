"""The rows of work to do: hints and chunks, runs, and files given to readers."""
