"""Files of chunks (WAV, AIFF, Wave64, CAF, DSF, DSDIFF) -> tracks."""
