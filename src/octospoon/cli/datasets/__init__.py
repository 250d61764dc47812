"""Pictures to upload, and labelled pictures to simulate with."""
