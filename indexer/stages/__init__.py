"""The four stages that keep the index equal to the disk: scan, extract, batch, insert."""
