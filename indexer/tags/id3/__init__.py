"""ID3: tags at either end of a file, and in chunks of other formats."""
