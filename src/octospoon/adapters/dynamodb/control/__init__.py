"""The control table: one item for everything that exists once, such as the training job."""
