"""Images to upload, and labelled images to simulate with."""
