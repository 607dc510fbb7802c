"""Pictures beside and in the music -> the artwork of albums and artists, and its thumbnails."""
