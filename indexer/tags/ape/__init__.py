"""APEv2, and the formats that have no other tags -> tracks."""
