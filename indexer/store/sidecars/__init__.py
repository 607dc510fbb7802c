"""The rows of artwork, playlists and lyrics, and the tracks that they belong to."""
