"""What trainer and workers say to each other, and the transport under it."""
