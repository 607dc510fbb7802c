"""What the library gives back: values without rules, of commands and of the public API."""
